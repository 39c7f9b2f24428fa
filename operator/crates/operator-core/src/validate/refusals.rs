//! What is wrong with a spec, collected.

use std::borrow::Cow;

use model::StreamName;

use super::SpecError;

/// Everything found to be wrong so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    errors: Vec<SpecError>,
}

impl Refusals {
    pub(super) fn refuse(&mut self, field: impl Into<Cow<'static, str>>, what: impl Into<String>) {
        self.errors.push(SpecError { field: field.into(), what: what.into() });
    }

    /// Refuses `field` with `what` where something is wrong.
    pub(super) fn refuse_if(&mut self, is_wrong: bool, field: &str, what: &str) {
        if is_wrong {
            self.refuse(field.to_owned(), what);
        }
    }

    /// Refuses `field` unless exactly one of its parts is set.
    pub(super) fn exactly_one(&mut self, field: &str, parts: &[(&str, bool)]) {
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        let set: Vec<&str> = parts.iter().filter(|part| part.1).map(|(name, _)| *name).collect();
        let (last, others) = names.split_last().expect("a choice has parts");
        let choice = format!("{} or {last}", others.join(", "));
        match set.len() {
            1 => {}
            0 => self.refuse(field.to_owned(), format!("nothing is set; set one of {choice}")),
            _ => {
                let what = format!("{} are set; set one of {choice}", set.join(", "));
                self.refuse(field.to_owned(), what);
            }
        }
    }

    /// Refuses `field` unless a Stream may bear `name`.
    pub(super) fn stream_name(&mut self, field: &str, name: &str) {
        if let Err(error) = name.parse::<StreamName>() {
            self.refuse(field.to_owned(), error.to_string());
        }
    }

    /// Refuses the second and later ones of equal names in a list.
    pub(super) fn unique<'a>(
        &mut self,
        field: impl Fn(usize) -> String,
        names: impl Iterator<Item = &'a str>,
    ) {
        let mut seen = std::collections::BTreeMap::new();
        for (at, name) in names.enumerate() {
            if let Some(first) = seen.insert(name, at) {
                let what = format!("{name:?} is also {}; give each its own", field(first));
                self.refuse(field(at), what);
                seen.insert(name, first);
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.errors.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<SpecError> {
        self.errors
    }

    pub(super) fn into_result(self) -> Result<(), Vec<SpecError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}
