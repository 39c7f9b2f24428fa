//! What the users of the account may do, where somebody else decides it.

use std::future::Future;
use std::pin::Pin;

use model::StreamName;

/// Something that a user wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// The user's name in the account.
    pub user: String,
    /// What it is about, as in `deliverystreams`.
    pub kind: &'static str,
    /// As Kubernetes' verbs.
    pub verb: &'static str,
    /// A part of it, as in `deliverystreams/records`.
    pub part: Option<&'static str>,
    /// Its name; all of them when there is none.
    pub name: Option<StreamName>,
}

/// Whether it is allowed; `None` when that cannot be found out.
pub type Allowed<'a> = Pin<Box<dyn Future<Output = Option<bool>> + Send + 'a>>;

/// Who decides.
pub trait Rights: Send + Sync {
    /// Whether it is allowed.
    fn allows(&self, right: Right) -> Allowed<'_>;
}
