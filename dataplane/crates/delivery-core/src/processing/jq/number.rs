//! Numbers as jq 1.6 writes them.

/// `number` in the fewest digits that give it back. What JSON cannot say is what jq makes of it.
pub(in crate::processing) fn number_text(number: f64) -> String {
    if number.is_nan() {
        return "null".to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let number = number.clamp(f64::MIN, f64::MAX);
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    // The point stands behind this many digits: at most 308 of them, or 323 zeros before them.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let sign = if number < 0.0 { "-" } else { "" };
    if point <= -4 || count + 15 < point {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent = point - 1;
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{dot}{rest}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match usize::try_from(point) {
        Ok(point) if 0 < point && point < digits.len() => {
            let (whole, fraction) = digits.split_at(point);
            format!("{sign}{whole}.{fraction}")
        }
        Ok(point_after) if 0 < point_after => format!("{sign}{digits}{}", zeros(point - count)),
        _ => format!("{sign}0.{}{digits}", zeros(-point)),
    }
}
