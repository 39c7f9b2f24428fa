//! What service accounts may do: as Kubernetes' RBAC says, remembered for a while.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use catalog_kube::Streams;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use operator_core::names;
use streams_api::{Right, Rights};

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

/// The rights of the users of one namespace.
pub(super) struct AccessReviews {
    asker: Arc<Asker>,
}

struct Asker {
    client: Client,
    streams: Arc<Streams>,
    namespace: String,
    answers: Mutex<HashMap<Right, Answer>>,
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
    pub(super) fn new(client: Client, streams: Arc<Streams>, namespace: &str) -> AccessReviews {
        let answers = Mutex::default();
        let asker = Asker { client, streams, namespace: namespace.to_owned(), answers };
        AccessReviews { asker: Arc::new(asker) }
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
                    resource: Some("streams".to_owned()),
                    subresource: right.part.map(str::to_owned),
                    verb: Some(right.verb.to_owned()),
                    namespace: Some(self.namespace.clone()),
                    name: right.stream.as_ref().map(|stream| {
                        let there = self.streams.resource_name(&self.namespace, stream);
                        there.unwrap_or_else(|| names::resource_name(stream.as_str()))
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

impl Rights for AccessReviews {
    fn allows(&self, right: &Right) -> Option<bool> {
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

    fn learn(&self, right: Right) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.asker.ask(right))
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
