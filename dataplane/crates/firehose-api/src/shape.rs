//! Shapes of the service model with their constraints.
//!
//! Configurations, updates and descriptions of a destination differ in what must be there and in a few
//! names. Each is declared once for all three.

use std::ops::RangeInclusive;

use aws_protocol::ApiError;
use aws_protocol::validate::{MapPart, Violations};
use std::collections::BTreeMap;

/// Violations of the model found so far, and what kind of a request is looked at.
#[derive(Default)]
pub(crate) struct Checks {
    pub(crate) violations: Violations,
    /// Whether members have the names that they have in updates.
    is_update: bool,
    /// Whether what a configuration needs must be there.
    is_whole: bool,
}

/// When a member must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// In each of its shapes.
    Always,
    /// In a configuration.
    Whole,
    /// Nowhere.
    Never,
}

impl Checks {
    /// For a request that creates.
    pub(crate) fn of_configuration() -> Checks {
        Checks { violations: Violations::new(), is_update: false, is_whole: true }
    }

    /// For a request that updates: merged with what is there, or instead of it as a `whole`.
    pub(crate) fn of_update(is_whole: bool) -> Checks {
        Checks { violations: Violations::new(), is_update: true, is_whole }
    }

    /// The error that reports them all, if there are any.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        self.violations.finish()
    }

    pub(crate) fn name<'a>(&self, name: &'a str, in_update: Option<&'a str>) -> &'a str {
        in_update.filter(|_| self.is_update).unwrap_or(name)
    }

    pub(crate) fn need(&mut self, need: Need, path: &str, is_there: bool) {
        let is_needed = match need {
            Need::Always => true,
            Need::Whole => self.is_whole,
            Need::Never => false,
        };
        if is_needed {
            self.violations.required(path, is_there.then_some(()));
        }
    }
}

/// The path of a member, as AWS writes it.
pub(crate) fn member(path: &str, name: &str) -> String {
    let (first, rest) = name.split_at(1);
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{}{rest}", first.to_ascii_lowercase())
}

/// A structure whose members have constraints.
pub(crate) trait Shape {
    fn check(&self, checks: &mut Checks, path: &str);
}

impl<T: Shape + ?Sized> Shape for Box<T> {
    fn check(&self, checks: &mut Checks, path: &str) {
        (**self).check(checks, path);
    }
}

/// What the model says of a member.
pub(crate) trait Rule<T> {
    fn check(&self, checks: &mut Checks, path: &str, value: &T);
}

impl<T, R: Rule<T>> Rule<T> for &R {
    fn check(&self, checks: &mut Checks, path: &str, value: &T) {
        (**self).check(checks, path, value);
    }
}

/// Nothing.
pub(crate) struct Anything;

impl<T> Rule<T> for Anything {
    fn check(&self, _: &mut Checks, _: &str, _: &T) {}
}

/// What its own members say.
pub(crate) struct Nested;

impl<T: Shape> Rule<T> for Nested {
    fn check(&self, checks: &mut Checks, path: &str, value: &T) {
        value.check(checks, path);
    }
}

/// What its own members say of a configuration, even in an update.
pub(crate) struct NestedWhole;

impl<T: Shape> Rule<T> for NestedWhole {
    fn check(&self, checks: &mut Checks, path: &str, value: &T) {
        let is_whole = std::mem::replace(&mut checks.is_whole, true);
        value.check(checks, path);
        checks.is_whole = is_whole;
    }
}

/// From a number to a number.
pub(crate) struct Within<N>(pub(crate) RangeInclusive<N>);

impl<N: Copy + PartialOrd + std::fmt::Display> Rule<N> for Within<N> {
    fn check(&self, checks: &mut Checks, path: &str, value: &N) {
        checks.violations.range(path, Some(*value), self.0.clone());
    }
}

/// At least so much.
pub(crate) const fn at_least(least: i64) -> Within<i64> {
    Within(least..=i32::MAX as i64)
}

/// One of these texts.
pub(crate) struct OneOf(pub(crate) &'static [&'static str]);

impl Rule<String> for OneOf {
    fn check(&self, checks: &mut Checks, path: &str, value: &String) {
        let set: Vec<(&str, ())> = self.0.iter().map(|name| (*name, ())).collect();
        checks.violations.one_of(path, Some(value), &set);
    }
}

/// Of each item of a list.
pub(crate) struct Each<R>(pub(crate) R);

impl<T, R: Rule<T>> Rule<Vec<T>> for Each<R> {
    fn check(&self, checks: &mut Checks, path: &str, items: &Vec<T>) {
        for (at, item) in items.iter().enumerate() {
            self.0.check(checks, &format!("{path}.{}.member", at + 1), item);
        }
    }
}

/// How many items, and of each of them.
pub(crate) struct Counted<R>(pub(crate) RangeInclusive<usize>, pub(crate) R);

impl<T, R: Rule<T>> Rule<Vec<T>> for Counted<R> {
    fn check(&self, checks: &mut Checks, path: &str, items: &Vec<T>) {
        checks.violations.list_length(path, items.len(), self.0.clone());
        for (at, item) in items.iter().take(*self.0.end()).enumerate() {
            self.1.check(checks, &format!("{path}.{}.member", at + 1), item);
        }
    }
}

/// The lengths of keys and values of a map.
pub(crate) struct Mapping(pub(crate) RangeInclusive<usize>);

impl Rule<BTreeMap<String, String>> for Mapping {
    fn check(&self, checks: &mut Checks, path: &str, map: &BTreeMap<String, String>) {
        let violations = &mut checks.violations;
        violations.map_lengths(path, MapPart::Keys, map.keys(), self.0.clone());
        violations.map_lengths(path, MapPart::Values, map.values(), self.0.clone());
    }
}

/// Declares shapes: `Member / "its name in updates" / "in descriptions": Type, Need, Rule;`.
macro_rules! shapes {
    ($(
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[$member_meta:meta])*
                $member:ident $(/ $update:literal / $told:literal)?: $type:ty, $need:ident, $rule:expr;
            )*
        }
    )*) => {$(
        $(#[$meta])*
        #[expect(non_snake_case, reason = "the names are AWS's")]
        #[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub(crate) struct $name {
            $(
                $(#[$member_meta])*
                $(#[serde(alias = $update, rename(serialize = $told))])?
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $member: Option<$type>,
            )*
        }

        impl $crate::shape::Shape for $name {
            fn check(&self, checks: &mut $crate::shape::Checks, path: &str) {
                use $crate::shape::{Need, Rule, member};
                $({
                    let in_update: &[&str] = &[$($update)?];
                    let name = checks.name(stringify!($member), in_update.first().copied());
                    let path = member(path, name);
                    checks.need(Need::$need, &path, self.$member.is_some());
                    if let Some(value) = &self.$member {
                        Rule::<$type>::check(&$rule, checks, &path, value);
                    }
                })*
            }
        }
    )*};
}

pub(crate) use shapes;
