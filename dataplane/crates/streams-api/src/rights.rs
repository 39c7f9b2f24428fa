//! What the users of the owner's account may do, where somebody else decides it.
//!
//! Operations find out in the middle of their work, and must not wait there: a right that is not known
//! yet ends the call, is asked for, and the call is made again.

use std::future::Future;
use std::pin::Pin;

use model::StreamName;

/// Something that a user wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Right {
    /// The user's name in the account.
    pub user: String,
    /// As Kubernetes' verbs.
    pub verb: &'static str,
    /// A part of a stream, as in `streams/records`.
    pub part: Option<&'static str>,
    /// The stream; all of them when there is none.
    pub stream: Option<StreamName>,
}

/// Who decides.
pub trait Rights: Send + Sync {
    /// Whether it is allowed; `None` when that is not known yet. Never waits.
    fn allows(&self, right: &Right) -> Option<bool>;

    /// Finds out. Afterwards it is known, at least for the time that a call takes.
    fn learn(&self, right: Right) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
