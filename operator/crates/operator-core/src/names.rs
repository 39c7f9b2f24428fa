//! Names and labels of what is made for resources.

use std::collections::BTreeMap;

use operator_api::{DeliveryStream, Stream};

/// Who applies: the field manager of everything the operator writes.
pub const FIELD_MANAGER: &str = "leat-operator";
/// Who says how many shards a stream has whose owner does not.
pub const SHARDS_MANAGER: &str = "leat-operator-shards";
/// Put on resources that need work before they may go.
pub const FINALIZER: &str = "leat.dev/finalizer";

/// The longest name of a StatefulSet: its pods carry it in a label of 63 characters, behind which
/// the controller puts a hash.
const STATEFUL_SET_CHARS_MAX: usize = 46;
const HASH_CHARS: usize = 8;

/// What the pods of a StatefulSet do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodRole {
    /// They hold shards.
    Stream,
    /// They deliver.
    Delivery,
}

impl PodRole {
    /// Its name, also as the subcommand of `leat`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PodRole::Stream => "stream",
            PodRole::Delivery => "delivery",
        }
    }
}

/// The labels of everything made for a StatefulSet. Those of a volume claim cannot change any more,
/// so no version and nothing that a user edits is among them.
#[must_use]
pub fn labels(role: PodRole, stateful_set: &str) -> BTreeMap<String, String> {
    let label = |name: &str, value: &str| (format!("app.kubernetes.io/{name}"), value.to_owned());
    [
        label("name", "leat"),
        label("component", role.name()),
        label("instance", stateful_set),
        label("managed-by", FIELD_MANAGER),
    ]
    .into()
}

/// Those of [`labels`] that tell one StatefulSet's pods from all others.
#[must_use]
pub fn selector(role: PodRole, stateful_set: &str) -> BTreeMap<String, String> {
    let mut labels = labels(role, stateful_set);
    labels.remove("app.kubernetes.io/managed-by");
    labels
}

/// The same of pods that hold shards, as the API server takes it in a query.
#[must_use]
pub fn selector_text(stateful_set: &str) -> String {
    let labels = selector(PodRole::Stream, stateful_set);
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Of two streams of a namespace that have one name in the AWS API, whether `other` was there before
/// `stream`, and so has it.
#[must_use]
pub fn is_older_namesake(stream: &Stream, other: &Stream) -> bool {
    let age = |stream: &Stream| {
        let created = stream.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created, stream.metadata.uid.clone())
    };
    is_namesake(stream, other) && age(other) < age(stream)
}

/// Whether two streams of a namespace have one name in the AWS API.
#[must_use]
pub fn is_namesake(stream: &Stream, other: &Stream) -> bool {
    stream.metadata.namespace == other.metadata.namespace
        && stream.metadata.uid != other.metadata.uid
        && stream.stream_name() == other.stream_name()
}

/// The StatefulSet that holds the shards of a stream: its own, or its pool's.
#[must_use]
pub fn stateful_set(stream: &Stream) -> String {
    match &stream.spec.pool {
        Some(pool) => bounded(pool, "pool"),
        None => bounded(stream.metadata.name.as_deref().unwrap_or_default(), "stream"),
    }
}

/// The StatefulSet that delivers: a delivery stream's own, or its pool's.
#[must_use]
pub fn delivery_set(stream: &DeliveryStream) -> String {
    match &stream.spec.pool {
        Some(pool) => bounded(pool, "dpool"),
        None => bounded(stream.metadata.name.as_deref().unwrap_or_default(), "delivery"),
    }
}

/// The Stream that holds what producers put into the delivery stream of this resource name.
#[must_use]
pub fn source_stream(resource: &str) -> String {
    const CHARS_MAX: usize = 100;
    if resource.len() <= CHARS_MAX {
        return format!("{resource}-delivery");
    }
    let start: String = resource.chars().take(CHARS_MAX).collect();
    format!("{}-{}-delivery", start.trim_end_matches(['-', '.']), hash(resource))
}

/// Twelve digits that stand for a namespace, as an AWS account (FNV-1a): the same in every process and
/// version.
#[must_use]
pub fn account_id(namespace: &str) -> String {
    format!("{:012}", fnv(namespace) % 1_000_000_000_000)
}

/// A pod of a StatefulSet.
#[must_use]
pub fn pod(stateful_set: &str, ordinal: u32) -> String {
    format!("{stateful_set}-{ordinal}")
}

/// The ordinal in a pod's name, if it is one of this StatefulSet.
#[must_use]
pub fn ordinal(stateful_set: &str, pod: &str) -> Option<u32> {
    pod.strip_prefix(stateful_set)?.strip_prefix('-')?.parse().ok()
}

/// The name of a resource for a stream that AWS lets be called `name`: the same where Kubernetes
/// allows it, else one that it allows and that no other name gets.
#[must_use]
pub fn resource_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| is_plain(byte) || byte == b'-';
    let starts_and_ends =
        name.bytes().next().is_some_and(is_plain) && name.bytes().next_back().is_some_and(is_plain);
    if starts_and_ends && name.bytes().all(inner) && name.len() <= 63 {
        return name.to_owned();
    }
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(40)
        .collect();
    let plain = plain.trim_matches('-');
    let plain = if plain.is_empty() { "stream" } else { plain };
    format!("{plain}-{}", hash(name))
}

/// `name-suffix`, shortened to what a StatefulSet may be called.
fn bounded(name: &str, suffix: &str) -> String {
    // A resource's name may have dots, which a pod's host name may not, and may begin with a digit,
    // which a Service's may not.
    let is_plain = !name.contains('.') && !name.starts_with(|c: char| c.is_ascii_digit());
    let letter = if name.starts_with(|c: char| c.is_ascii_digit()) { "s" } else { "" };
    let plain = format!("{letter}{}", name.replace('.', "-"));
    let whole = format!("{plain}-{suffix}");
    if whole.len() <= STATEFUL_SET_CHARS_MAX && is_plain {
        return whole;
    }
    let kept = STATEFUL_SET_CHARS_MAX - HASH_CHARS - suffix.len() - 2;
    let start: String = plain.chars().take(kept).collect();
    format!("{}-{}-{suffix}", start.trim_end_matches('-'), hash(name))
}

fn fnv(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Eight hex digits of a text (FNV-1a): the same in every version, for names outlive them.
pub(crate) fn hash(text: &str) -> String {
    let hash = fnv(text);
    format!("{:08x}", (hash >> 32) as u32 ^ hash as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        let named =
            |name: &str| stateful_set(&Stream::new(name, operator_api::StreamSpec::default()));
        assert_eq!(named("clicks"), "clicks-stream");
        assert_eq!(named("a.b"), "a-b-e27bcb35-stream");
        assert_ne!(named("a.b"), named("a-b"));
        assert_eq!(named("2024-clicks"), "s2024-clicks-83e7147b-stream");
        assert_ne!(named("2024"), named("s2024"));
        let long = named(&"x".repeat(250));
        assert!(long.len() <= STATEFUL_SET_CHARS_MAX, "{long}");
        assert_ne!(long, named(&"x".repeat(251)));
    }

    #[test]
    fn ordinals_are_found_in_pods() {
        assert_eq!(ordinal("clicks-stream", "clicks-stream-12"), Some(12));
        assert_eq!(ordinal("clicks-stream", "clicks-stream-b-1"), None);
        assert_eq!(ordinal("clicks-stream", &pod("clicks-stream", 3)), Some(3));
    }

    #[test]
    fn names_of_aws_become_names_of_kubernetes() {
        assert_eq!(resource_name("clicks"), "clicks");
        for name in ["Clicks", "a_b", "a.b", "-a", "a-", "_", &"A".repeat(128)] {
            let resource = resource_name(name);
            assert_ne!(resource, name);
            assert_eq!(resource_name(&resource), resource, "it is a name itself");
        }
        assert_ne!(resource_name("Clicks"), resource_name("CLICKS"));
    }
}
