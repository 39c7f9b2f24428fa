//! Whether what there is has everything that is wanted.

use serde_json::Value;

/// Where something wanted is not in what there is; `None` when all of it is. What the API server
/// adds on its own is no difference.
#[must_use]
pub fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().find_map(|(key, value)| {
            let live = live.get(key).unwrap_or(&Value::Null);
            let inner = match key.as_str() {
                "requests" | "limits" => quantities_difference(value, live)?,
                _ => first_difference(value, live)?,
            };
            Some(format!(".{key}{inner}"))
        }),
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            let pairs = wanted.iter().zip(live).enumerate();
            pairs.into_iter().find_map(|(at, (wanted, live))| {
                Some(format!("[{at}]{}", first_difference(wanted, live)?))
            })
        }
        // An empty map or list and none are the same to the API server.
        (Value::Object(wanted), Value::Null) if wanted.is_empty() => None,
        (Value::Array(wanted), Value::Null) if wanted.is_empty() => None,
        (wanted, live) if wanted == live => None,
        _ => Some(String::new()),
    }
}

/// As [`first_difference`], of a map of quantities: the API server writes `1000m` as `1`.
fn quantities_difference(wanted: &Value, live: &Value) -> Option<String> {
    let (Value::Object(wanted_map), Value::Object(live_map)) = (wanted, live) else {
        return first_difference(wanted, live);
    };
    wanted_map.iter().find_map(|(key, wanted)| {
        let live = live_map.get(key).unwrap_or(&Value::Null);
        let number = |value: &Value| quantity(value.as_str()?);
        match (number(wanted), number(live)) {
            (Some(wanted), Some(live)) if (wanted - live).abs() <= wanted.abs() * 1e-9 => None,
            _ => Some(format!(".{key}{}", first_difference(wanted, live)?)),
        }
    })
}

/// What a quantity counts, as in "100m", "1.5Gi" or "2e3".
fn quantity(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'));
    let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Ei" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10_f64.powi(exponent.parse().ok()?)
        }
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(wanted: Value, live: Value, want: Option<&str>) {
        assert_eq!(first_difference(&wanted, &live).as_deref(), want, "{wanted} {live}");
    }

    #[test]
    fn the_first_difference_has_a_path() {
        check(json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1, "c": 2}], "d": 3}), None);
        check(json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}), Some(".a[0].b"));
        check(json!({"a": [1]}), json!({"a": [1, 2]}), Some(".a"));
        check(json!({"a": {}, "b": []}), json!({}), None);
        check(json!({"a": false}), json!({}), Some(".a"));
    }

    #[test]
    fn quantities_are_compared_by_what_they_count() {
        let check = |wanted: &str, live: &str, is_same: bool| {
            let of = |text: &str| json!({"resources": {"limits": {"cpu": text}}});
            let want = (!is_same).then_some(".resources.limits.cpu");
            check(of(wanted), of(live), want);
        };
        check("1000m", "1", true);
        check("0.1", "100m", true);
        check("1024Mi", "1Gi", true);
        check("2e3", "2k", true);
        check("1Gi", "1G", false);
        check("1", "2", false);
        check("x", "1", false);
        check("x", "x", true);
    }
}
