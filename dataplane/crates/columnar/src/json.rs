//! JSON, read once from front to back, exactly as RFC 8259 has it.
//!
//! Values are taken where they are needed instead of being gathered in a tree: numbers stay text, so
//! that a decimal keeps its digits, and strings without escapes are not copied.

/// How deep a record may be nested.
const DEPTH_MAX: usize = 128;

/// Where and why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Counts bytes, from 0.
    pub(crate) position: usize,
    pub(crate) what: &'static str,
}

/// A place in a text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

/// A value without its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// As it was written.
    Number(&'a str),
    String(&'a str),
    /// An object or an array, as it was written.
    Nested(&'a str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, bytes: text.as_bytes(), at: 0, depth: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next, behind spaces.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `byte` if it comes next, behind spaces.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), SyntaxError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(what)) }
    }

    /// Enters an object or an array, whose bracket is next.
    pub(crate) fn enter(&mut self) -> Result<(), SyntaxError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error("nested deeper than 128 levels"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Takes `end` and leaves, or takes the comma before another part. A comma before the first part
    /// or before `end` is an error, which `is_first` and the part that is missing tell.
    pub(crate) fn has_part(&mut self, end: u8, is_first: bool) -> Result<bool, SyntaxError> {
        if self.take(end) {
            self.depth -= 1;
            return Ok(false);
        }
        if !is_first {
            let what = if end == b'}' { "expected , or }" } else { "expected , or ]" };
            self.expect(b',', what)?;
        }
        Ok(true)
    }

    /// Takes the quoted `key` if exactly that comes next. `key` is without escapes.
    pub(crate) fn take_key(&mut self, key: &[u8]) -> bool {
        if self.peek() != Some(b'"') {
            return false;
        }
        let rest = &self.bytes[self.at + 1..];
        let taken = rest.len() > key.len() && &rest[..key.len()] == key && rest[key.len()] == b'"';
        if taken {
            self.at += key.len() + 2;
        }
        taken
    }

    /// The string that comes next; `scratch` holds it if it had escapes.
    pub(crate) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, SyntaxError>
    where
        'a: 's,
    {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        self.find_special();
        if self.bytes.get(self.at) == Some(&b'"') {
            let text = self.text;
            let found = &text[start..self.at];
            self.at += 1;
            return Ok(found);
        }
        scratch.clear();
        scratch.push_str(&self.text[start..self.at]);
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(scratch);
                }
                Some(b'\\') => scratch.push(self.escape()?),
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unfinished string")),
            }
            let start = self.at;
            self.find_special();
            scratch.push_str(&self.text[start..self.at]);
        }
    }

    /// Any value, with no more work than it takes to know that it is one.
    pub(crate) fn scalar<'s>(&mut self, scratch: &'s mut String) -> Result<Scalar<'s>, SyntaxError>
    where
        'a: 's,
    {
        match self.peek() {
            Some(b'"') => self.string(scratch).map(Scalar::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Scalar::Number),
            Some(b'{' | b'[') => {
                let start = self.at;
                self.skip(scratch)?;
                let text = self.text;
                Ok(Scalar::Nested(&text[start..self.at]))
            }
            Some(b't') => self.literal("true").map(|()| Scalar::Bool(true)),
            Some(b'f') => self.literal("false").map(|()| Scalar::Bool(false)),
            Some(b'n') => self.literal("null").map(|()| Scalar::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Leaves out a value, which has to be well-formed all the same.
    pub(crate) fn skip(&mut self, scratch: &mut String) -> Result<(), SyntaxError> {
        let open = match self.peek() {
            Some(open @ (b'{' | b'[')) => open,
            _ => return self.scalar(scratch).map(|_| ()),
        };
        self.enter()?;
        let end = if open == b'{' { b'}' } else { b']' };
        let mut is_first = true;
        while self.has_part(end, is_first)? {
            is_first = false;
            if open == b'{' {
                self.string(scratch)?;
                self.expect(b':', "expected :")?;
            }
            self.skip(scratch)?;
        }
        Ok(())
    }

    pub(crate) fn literal(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error("expected a digit")),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn some_digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        self.digits();
        if start == self.at { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Goes on to a quote, a backslash, a control character or the end.
    fn find_special(&mut self) {
        while let Some(word) = self.bytes[self.at..].first_chunk::<8>() {
            let special = special_bytes(u64::from_le_bytes(*word));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.bytes.get(self.at) {
            if matches!(byte, b'"' | b'\\' | 0..0x20) {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let escaped = self.bytes.get(self.at + 1).copied();
        let found = match escaped {
            Some(b'"' | b'\\' | b'/') => escaped.map_or('"', char::from),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.error("unknown escape in a string")),
        };
        self.at += 2;
        Ok(found)
    }

    /// `\u` and four digits, or two of them for characters beyond 16 bits. Halves on their own stand for no
    /// character, so they are refused.
    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        const WHAT: &str = "wrong \\u escape in a string";
        let first = self.hex_escape().ok_or(SyntaxError { position: self.at, what: WHAT })?;
        if let Some(found) = char::from_u32(first) {
            return Ok(found);
        }
        let second = self.hex_escape().filter(|second| (0xdc00..0xe000).contains(second));
        let both = match second {
            Some(second) if first < 0xdc00 => 0x10000 + ((first - 0xd800) << 10) + second - 0xdc00,
            _ => return Err(self.error(WHAT)),
        };
        char::from_u32(both).ok_or(SyntaxError { position: self.at, what: WHAT })
    }

    fn hex_escape(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 6)?.strip_prefix(b"\\u")?;
        let mut value = 0;
        for digit in digits {
            value = value * 16 + char::from(*digit).to_digit(16)?;
        }
        self.at += 6;
        Some(value)
    }

    pub(crate) fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { position: self.at, what }
    }
}

/// Marks the high bit of each byte that is a quote, a backslash or a control character. Only the
/// lowest mark is sure: borrows of the subtractions go upwards.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skip(text: &str) -> Result<usize, SyntaxError> {
        let mut scanner = Scanner::new(text);
        scanner.skip(&mut String::new())?;
        let end = scanner.position();
        match scanner.peek() {
            None => Ok(end),
            Some(_) => Err(scanner.error("expected the end")),
        }
    }

    fn check_string(text: &str, want: &str) {
        let mut scratch = String::new();
        let found = match Scanner::new(text).string(&mut scratch) {
            Ok(found) => found.to_owned(),
            Err(error) => format!("{} at {}", error.what, error.position),
        };
        assert_eq!(found, want, "{text}");
    }

    #[test]
    fn strings_lose_their_escapes() {
        check_string(r#""""#, "");
        check_string(r#" "plain and longer than eight bytes, größer" "#, {
            "plain and longer than eight bytes, größer"
        });
        check_string(r#""a\"b\\c\/d\b\f\n\r\t""#, "a\"b\\c/d\u{8}\u{c}\n\r\t");
        check_string(r#""\u00e9\u20AC\ud83d\ude00!""#, "é€😀!");
        check_string(r#""\ud83d""#, "wrong \\u escape in a string at 7");
        check_string(r#""\ude00\ude00""#, "wrong \\u escape in a string at 13");
        check_string(r#""\ud83d\u0041""#, "wrong \\u escape in a string at 13");
        check_string(r#""\u00e""#, "wrong \\u escape in a string at 1");
        check_string(r#""\x""#, "unknown escape in a string at 1");
        check_string("\"abc", "unfinished string at 4");
        check_string("\"abcdefgh\\", "unknown escape in a string at 9");
        check_string("\"a\u{1}\"", "control character in a string at 2");
        check_string("\"abcdefghij\n\"", "control character in a string at 11");
        check_string("1", "expected a string at 0");
    }

    #[test]
    fn depth_has_a_bound() {
        assert!(skip(&("[".repeat(128) + &"]".repeat(128))).is_ok());
        let error = skip(&"[".repeat(100_000)).unwrap_err();
        assert_eq!(error, SyntaxError { position: 128, what: "nested deeper than 128 levels" });
        assert!(skip(&format!("[{}]", vec!["[]"; 1000].join(","))).is_ok());
    }

    #[test]
    fn the_first_special_byte_of_a_word_is_found() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for place in 0..8 {
                for other in [b' ', b'!', b'#', b'a', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                    let mut word = [other; 8];
                    word[place] = special;
                    let found = special_bytes(u64::from_le_bytes(word)).trailing_zeros() / 8;
                    assert_eq!(found as usize, place, "{special} among {other}");
                }
            }
        }
        assert_eq!(special_bytes(u64::from_le_bytes(*b"abc!#\x7f\xff\x80")), 0);
    }

    /// Texts that are JSON or nearly so.
    fn json_like() -> impl Strategy<Value = String> {
        let parts = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(","),
            Just(":"),
            Just("\""),
            Just("a"),
            Just("\\"),
            Just("\\u00e9"),
            Just("\\n"),
            Just("1"),
            Just("0"),
            Just("-"),
            Just("."),
            Just("e5"),
            Just("true"),
            Just("false"),
            Just("null"),
            Just(" "),
            Just("\n"),
            Just("\"k\":"),
            Just("\"v\""),
            Just("[1,2]"),
            Just("{\"k\":1}"),
            Just("é"),
        ];
        proptest::collection::vec(parts, 0..16).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_is_json_agrees_with_serde_json(text in json_like()) {
            let ours = skip(&text).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }

        #[test]
        fn strings_agree_with_serde_json(
            text in "\"(\\\\u[0-9a-f]{4}|\\\\[bnrt\"/]|[ -~]|é|😀){0,20}\"",
        ) {
            let mut scratch = String::new();
            let mut scanner = Scanner::new(&text);
            let ours = scanner.string(&mut scratch).ok().map(str::to_owned);
            let ours = ours.filter(|_| scanner.position() == text.len());
            prop_assert_eq!(ours, serde_json::from_str::<String>(&text).ok());
        }
    }
}
