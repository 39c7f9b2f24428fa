//! Resource policies: who may do what with a stream or a consumer, beside its owner.
//!
//! The JSON of AWS IAM, as far as it says something about these resources: `Principal`, `Action` or
//! `NotAction`, `Resource` or `NotResource`, and `Condition` with the operators and keys named below.
//! What is not understood, or could never hold, is refused when the policy is put, never ignored when
//! it is evaluated.
//!
//! An explicit Deny wins over everything. Callers of the owner's account need no Allow; callers of
//! other accounts do.

mod json;

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use json::{Members, OneOrMany, PrincipalJson};

/// The longest policy, as AWS's.
const BYTES_MAX: usize = 20 << 10;

/// Who calls: a user of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// The user's name in it.
    pub user: String,
    /// Where the call comes from.
    pub source_ip: IpAddr,
    /// Whether it came over TLS.
    pub is_secure: bool,
}

impl Caller {
    /// The ARN of the user.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{}", self.account, self.user)
    }
}

/// A policy that was understood. Equal when its text is.
#[derive(Clone, Debug)]
pub struct Policy {
    text: String,
    statements: Vec<Statement>,
}

impl PartialEq for Policy {
    fn eq(&self, other: &Policy) -> bool {
        self.text == other.text
    }
}

impl Eq for Policy {}

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than AWS lets it be.
    #[error("the policy has {0} bytes; at most {BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Not JSON, or not of a policy's form.
    #[error("{0}")]
    Malformed(String),
    /// A part of one statement.
    #[error("statement {number}: {what}")]
    Statement {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// What a policy says of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some statement denies it.
    Deny,
    /// Some statement allows it, and none denies it.
    Allow,
    /// No statement is about it.
    Silent,
}

#[derive(Clone, Debug)]
struct Statement {
    is_allow: bool,
    principals: Vec<Principal>,
    actions: Set,
    resources: Set,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    Anyone,
    /// All users of an account.
    Account(String),
    /// One user, by its ARN.
    User(String),
    /// Nobody who calls here: an AWS service.
    Service,
}

/// Patterns with `*` and `?`, or everything but those.
#[derive(Clone, Debug)]
struct Set {
    patterns: Vec<String>,
    is_complement: bool,
    ignores_case: bool,
}

#[derive(Clone, Debug)]
struct Condition {
    operator: Operator,
    is_negated: bool,
    key: Key,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIgnoreCase,
    Like,
    Bool,
    IpAddress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    PrincipalArn,
    PrincipalAccount,
    SourceIp,
    SecureTransport,
}

/// Operators by name; whether what follows matches or must not.
const OPERATORS: [(&str, Operator, bool); 12] = [
    ("StringEquals", Operator::Equals, false),
    ("StringNotEquals", Operator::Equals, true),
    ("StringEqualsIgnoreCase", Operator::EqualsIgnoreCase, false),
    ("StringLike", Operator::Like, false),
    ("StringNotLike", Operator::Like, true),
    ("ArnEquals", Operator::Like, false),
    ("ArnNotEquals", Operator::Like, true),
    ("ArnLike", Operator::Like, false),
    ("ArnNotLike", Operator::Like, true),
    ("Bool", Operator::Bool, false),
    ("IpAddress", Operator::IpAddress, false),
    ("NotIpAddress", Operator::IpAddress, true),
];

const KEYS: [(&str, Key); 4] = [
    ("aws:PrincipalArn", Key::PrincipalArn),
    ("aws:PrincipalAccount", Key::PrincipalAccount),
    ("aws:SourceIp", Key::SourceIp),
    ("aws:SecureTransport", Key::SecureTransport),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PolicyJson {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<StatementJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementJson {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: String,
    principal: PrincipalJson,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: Members<Members<Value>>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if BYTES_MAX < text.len() {
            return Err(PolicyError::TooLong(text.len()));
        }
        let malformed = |error: serde_json::Error| PolicyError::Malformed(error.to_string());
        let policy: PolicyJson = serde_json::from_str(text).map_err(malformed)?;
        let version = policy.version.as_deref().unwrap_or("2012-10-17");
        if !matches!(version, "2012-10-17" | "2008-10-17") {
            return Err(PolicyError::Malformed(format!(
                "Version {version} is not known; write 2012-10-17"
            )));
        }
        let statements = (1..).zip(policy.statement.into_vec());
        let statements = statements.map(|(number, json)| {
            json.check().map_err(|what| PolicyError::Statement { number, what })
        });
        let statements = statements.collect::<Result<Vec<_>, _>>()?;
        if statements.is_empty() {
            return Err(PolicyError::Malformed("a policy has at least one Statement".to_owned()));
        }
        Ok(Policy { text: text.to_owned(), statements })
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks that it is about this resource and about actions that there are: a statement about
    /// anything else would never hold, and a Deny that never holds is a trap.
    ///
    /// # Errors
    /// `Statement`.
    pub fn check_is_about(&self, resource: &str, actions: &[String]) -> Result<(), PolicyError> {
        for (number, statement) in (1..).zip(&self.statements) {
            let wrong = |what| Err(PolicyError::Statement { number, what });
            let mut resources = statement.resources.patterns.iter();
            let is_complement = statement.resources.is_complement;
            if let Some(other) =
                resources.find(|pattern| is_like(pattern, resource) == is_complement)
            {
                return wrong(match is_complement {
                    true => format!("NotResource {other} is {resource}, which has the policy"),
                    false => format!("Resource {other} is not {resource}, which has the policy"),
                });
            }
            let is_action = |pattern: &String| {
                let pattern = pattern.to_ascii_lowercase();
                actions.iter().any(|action| is_like(&pattern, &action.to_ascii_lowercase()))
            };
            if let Some(other) = statement.actions.patterns.iter().find(|p| !is_action(p)) {
                return wrong(format!("there is no action {other}"));
            }
        }
        Ok(())
    }

    /// What it says of `caller` doing `action` (as `kinesis:PutRecord`) with the resource of this ARN.
    #[must_use]
    pub fn evaluate(&self, caller: &Caller, action: &str, resource: &str) -> Verdict {
        let about = self.statements.iter().filter(|s| s.is_about(caller, action, resource));
        about.fold(Verdict::Silent, |verdict, statement| match (verdict, statement.is_allow) {
            (Verdict::Deny, _) | (_, false) => Verdict::Deny,
            (_, true) => Verdict::Allow,
        })
    }
}

impl StatementJson {
    fn check(self) -> Result<Statement, String> {
        let is_allow = match self.effect.as_str() {
            "Allow" => true,
            "Deny" => false,
            other => return Err(format!("Effect is Allow or Deny, not {other}")),
        };
        Ok(Statement {
            is_allow,
            principals: principals(self.principal)?,
            actions: set("Action", self.action, self.not_action, true)?,
            resources: set("Resource", self.resource, self.not_resource, false)?,
            conditions: conditions(self.condition)?,
        })
    }
}

fn set(
    name: &str,
    given: Option<OneOrMany<String>>,
    complement: Option<OneOrMany<String>>,
    ignores_case: bool,
) -> Result<Set, String> {
    let (patterns, is_complement) = match (given, complement) {
        (Some(given), None) => (given.into_vec(), false),
        (None, Some(complement)) => (complement.into_vec(), true),
        _ => return Err(format!("either {name} or Not{name} is required, and not both")),
    };
    if patterns.is_empty() {
        return Err(format!("{name} is empty"));
    }
    patterns.iter().try_for_each(|pattern| check_no_variable(pattern))?;
    Ok(Set { patterns, is_complement, ignores_case })
}

/// IAM puts the caller's properties there; taken by the letter it would be about nobody.
fn check_no_variable(text: &str) -> Result<(), String> {
    match text.contains("${") {
        true => Err(format!("{text} has a policy variable, which are not supported")),
        false => Ok(()),
    }
}

fn principals(json: PrincipalJson) -> Result<Vec<Principal>, String> {
    let wanted = r#"Principal is "*" or {"AWS": [accounts or ARNs of users]}"#;
    let by_kind = match json {
        PrincipalJson::Text(anyone) if anyone == "*" => return Ok(vec![Principal::Anyone]),
        PrincipalJson::Text(_) => return Err(wanted.to_owned()),
        PrincipalJson::ByKind(by_kind) => by_kind,
    };
    let mut principals = Vec::new();
    for (kind, names) in by_kind.0 {
        for name in names.into_vec() {
            principals.push(match kind.as_str() {
                "AWS" => principal(&name)?,
                "Service" => Principal::Service,
                _ => return Err(wanted.to_owned()),
            });
        }
    }
    if principals.is_empty() { Err(wanted.to_owned()) } else { Ok(principals) }
}

fn principal(name: &str) -> Result<Principal, String> {
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if name == "*" {
        return Ok(Principal::Anyone);
    }
    if is_account(name) {
        return Ok(Principal::Account(name.to_owned()));
    }
    // Roles do not call here, and patterns of users are not matched by IAM either.
    let is_user = |text: &str| {
        let name = text.strip_prefix("user/");
        name.is_some_and(|name| !name.is_empty() && !name.contains(['*', '?', '$']))
    };
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", "", account, "root"] if is_account(account) => {
            Ok(Principal::Account(account.to_owned()))
        }
        ["arn", "aws", "iam", "", account, user] if is_account(account) && is_user(user) => {
            Ok(Principal::User(name.to_owned()))
        }
        _ => Err(format!("Principal {name} is no account and no ARN of a user")),
    }
}

fn conditions(json: Members<Members<Value>>) -> Result<Vec<Condition>, String> {
    let mut conditions = Vec::new();
    for (operator, by_key) in json.0 {
        // Every key is there in every call, so "if it exists" changes nothing.
        let name = operator.strip_suffix("IfExists").unwrap_or(&operator);
        let found = OPERATORS.iter().find(|(known, ..)| *known == name);
        let Some((_, operator, is_negated)) = found.copied() else {
            let known: Vec<&str> = OPERATORS.iter().map(|(known, ..)| *known).collect();
            return Err(format!("Condition {name} is not known; known are {}", known.join(", ")));
        };
        for (key, values) in by_key.0 {
            let found = KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&key));
            let Some((_, key)) = found else {
                let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
                return Err(format!(
                    "Condition key {key} is not known; known are {}",
                    known.join(", ")
                ));
            };
            if !operator.is_for(*key) {
                return Err(format!("Condition {name} says nothing about {}", key.name()));
            }
            let values = texts(&values).filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| format!("Condition {name} wants texts"))?;
            values.iter().try_for_each(|value| check_no_variable(value))?;
            if operator == Operator::IpAddress
                && let Some(bad) = values.iter().find(|value| network(value).is_none())
            {
                return Err(format!("{bad} is no address and no network as 192.0.2.0/24"));
            }
            conditions.push(Condition { operator, is_negated, key: *key, values });
        }
    }
    Ok(conditions)
}

impl Operator {
    /// Whether it can be asked of this key: of an address only what is about addresses.
    fn is_for(self, key: Key) -> bool {
        match self {
            Operator::IpAddress => key == Key::SourceIp,
            Operator::Bool => key == Key::SecureTransport,
            Operator::Equals | Operator::EqualsIgnoreCase | Operator::Like => {
                matches!(key, Key::PrincipalArn | Key::PrincipalAccount)
            }
        }
    }
}

impl Key {
    fn name(self) -> &'static str {
        KEYS.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

/// A text or a list of texts; booleans count as texts.
fn texts(json: &Value) -> Option<Vec<String>> {
    match json {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(value) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

impl Statement {
    fn is_about(&self, caller: &Caller, action: &str, resource: &str) -> bool {
        self.principals.iter().any(|principal| principal.is(caller))
            && self.actions.contains(action)
            && self.resources.contains(resource)
            && self.conditions.iter().all(|condition| condition.holds(caller))
    }
}

impl Principal {
    fn is(&self, caller: &Caller) -> bool {
        match self {
            Principal::Anyone => true,
            Principal::Account(account) => *account == caller.account,
            Principal::User(arn) => *arn == caller.arn(),
            Principal::Service => false,
        }
    }
}

impl Set {
    fn contains(&self, text: &str) -> bool {
        let matches = |pattern: &String| match self.ignores_case {
            true => is_like(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()),
            false => is_like(pattern, text),
        };
        self.patterns.iter().any(matches) != self.is_complement
    }
}

impl Condition {
    fn holds(&self, caller: &Caller) -> bool {
        let found = match self.key {
            Key::PrincipalArn => caller.arn(),
            Key::PrincipalAccount => caller.account.clone(),
            Key::SourceIp => caller.source_ip.to_string(),
            Key::SecureTransport => caller.is_secure.to_string(),
        };
        let matches = |value: &String| match self.operator {
            Operator::Equals => *value == found,
            Operator::EqualsIgnoreCase | Operator::Bool => value.eq_ignore_ascii_case(&found),
            Operator::Like => is_like(value, &found),
            Operator::IpAddress => {
                let network = network(value);
                network.is_some_and(|network| network.contains(caller.source_ip))
            }
        };
        self.values.iter().any(matches) != self.is_negated
    }
}

struct Network {
    address: u128,
    prefix_bits: u32,
    is_v4: bool,
}

fn network(text: &str) -> Option<Network> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let (bits, width) = bits(address);
    let prefix_bits = prefix.map_or(Some(width), |prefix| prefix.parse().ok())?;
    let fits = prefix_bits <= width;
    fits.then_some(Network { address: bits, prefix_bits, is_v4: address.is_ipv4() })
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let (found, width) = bits(address.to_canonical());
        let shift = width - self.prefix_bits.min(width);
        let same = |a: u128, b: u128| a.checked_shr(shift) == b.checked_shr(shift);
        address.to_canonical().is_ipv4() == self.is_v4 && same(found, self.address)
    }
}

/// Whether `pattern`, in which `*` is any text and `?` any character, is all of `text`.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what was tried for the last `*` turns out too short.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests;
