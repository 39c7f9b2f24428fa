//! What service accounts may do: as Kubernetes' RBAC says, remembered for a while.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalog_kube::{DeliveryStreams, Streams};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use model::StreamName;
use operator_core::names;

/// An answer that is older is asked for again, while it still counts.
const FRESH: Duration = Duration::from_secs(10);
/// An answer that is older than this waits for the new one, unless the API server cannot be asked.
const STALE: Duration = Duration::from_secs(60);
/// An answer counts no longer than this, though the API server cannot be asked.
const VALID_MAX: Duration = Duration::from_secs(24 * 3600);
/// Answers that are remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 100_000;
/// How long the API server may take.
const REVIEW_MAX: Duration = Duration::from_secs(5);

/// Gives the name of a resource by its kind and its name in the AWS API, if there is one.
type FindResource = Box<dyn Fn(&str, &StreamName) -> Option<String> + Send + Sync>;

/// The rights of the users of one namespace.
pub(super) struct AccessReviews {
    asker: Arc<Asker>,
}

struct Asker {
    client: Client,
    find: FindResource,
    namespace: String,
    answers: Mutex<HashMap<Right, Answer>>,
}

/// What somebody wants to do.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Right {
    user: String,
    /// As in `streams`.
    kind: &'static str,
    verb: &'static str,
    part: Option<&'static str>,
    name: Option<StreamName>,
}

impl From<streams_api::Right> for Right {
    fn from(right: streams_api::Right) -> Right {
        let streams_api::Right { user, verb, part, stream } = right;
        Right { user, kind: "streams", verb, part, name: stream }
    }
}

impl From<firehose_api::Right> for Right {
    fn from(right: firehose_api::Right) -> Right {
        let firehose_api::Right { user, kind, verb, part, name } = right;
        Right { user, kind, verb, part, name }
    }
}

#[derive(Clone, Copy)]
struct Answer {
    is_allowed: bool,
    given: Instant,
    /// When it was last asked for, so that it is asked for once.
    asked: Instant,
    /// Whether the API server did not answer then.
    is_unanswered: bool,
}

impl Answer {
    fn counts(&self, now: Instant) -> bool {
        let age = now - self.given;
        age <= STALE || self.is_unanswered && age <= VALID_MAX
    }
}

impl AccessReviews {
    pub(super) fn new(
        client: Client,
        streams: Arc<Streams>,
        deliveries: Arc<DeliveryStreams>,
        namespace: &str,
    ) -> AccessReviews {
        let of = namespace.to_owned();
        let find: FindResource = Box::new(move |kind, name| match kind {
            "streams" => streams.resource_name(&of, name),
            _ => deliveries.resource_name(&of, name),
        });
        let (answers, namespace) = (Mutex::default(), namespace.to_owned());
        AccessReviews { asker: Arc::new(Asker { client, find, namespace, answers }) }
    }

    /// What is known; it is asked for again, if it is old.
    fn known(&self, right: &Right) -> Option<bool> {
        let now = Instant::now();
        let mut answers = self.asker.lock();
        let answer = answers.get_mut(right)?;
        if !answer.counts(now) {
            return None;
        }
        if FRESH < now - answer.asked {
            answer.asked = now;
            let (asker, right) = (Arc::clone(&self.asker), right.clone());
            tokio::spawn(async move { asker.ask(right).await });
        }
        Some(answer.is_allowed)
    }
}

impl Asker {
    fn lock(&self) -> MutexGuard<'_, HashMap<Right, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, right: Right) {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{}:{}", self.namespace, right.user)),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{}", self.namespace),
                    "system:authenticated".to_owned(),
                ]),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("leat.dev".to_owned()),
                    resource: Some(right.kind.to_owned()),
                    subresource: right.part.map(str::to_owned),
                    verb: Some(right.verb.to_owned()),
                    namespace: Some(self.namespace.clone()),
                    name: right.name.as_ref().map(|name| {
                        let there = (self.find)(right.kind, name);
                        there.unwrap_or_else(|| names::resource_name(name.as_str()))
                    }),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let reviewed = tokio::time::timeout(REVIEW_MAX, api.create(&params, &review)).await;
        let is_allowed = match reviewed {
            Ok(Ok(review)) => review.status.is_some_and(|status| status.allowed),
            unanswered => {
                let error = unanswered.ok().and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(error, "a right could not be asked for");
                if let Some(answer) = self.lock().get_mut(&right) {
                    answer.is_unanswered = true;
                }
                return;
            }
        };
        let now = Instant::now();
        let mut answers = self.lock();
        if REMEMBERED_MAX <= answers.len() {
            answers.clear();
        }
        answers.insert(right, Answer { is_allowed, given: now, asked: now, is_unanswered: false });
    }
}

impl streams_api::Rights for AccessReviews {
    fn allows(&self, right: &streams_api::Right) -> Option<bool> {
        self.known(&right.clone().into())
    }

    fn learn(&self, right: streams_api::Right) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.asker.ask(right.into()))
    }
}

impl firehose_api::Rights for AccessReviews {
    fn allows(&self, right: firehose_api::Right) -> firehose_api::Allowed<'_> {
        Box::pin(async move {
            let right = Right::from(right);
            match self.known(&right) {
                Some(is_allowed) => Some(is_allowed),
                None => {
                    self.asker.ask(right.clone()).await;
                    self.known(&right)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_answer_counts_only_while_nobody_can_be_asked() {
        let given = Instant::now();
        let check = |seconds: u64, is_unanswered: bool, want: bool| {
            let answer = Answer { is_allowed: true, given, asked: given, is_unanswered };
            assert_eq!(answer.counts(given + Duration::from_secs(seconds)), want, "{seconds}");
        };
        check(59, false, true);
        check(61, false, false);
        check(61, true, true);
        check(24 * 3600, true, true);
        check(24 * 3600 + 1, true, false);
    }
}
