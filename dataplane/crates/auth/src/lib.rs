//! Who is calling: AWS Signature Version 4, verified, and the access keys it is verified with.
//!
//! Pure: the request comes as plain parts and the time is passed in. Verification has two steps, so
//! that a server can refuse a request by its headers before it reads the body:
//!
//! ```text
//!  SignedRequest::parse(parts)            is it signed, and by which access key?
//!  SignedRequest::check_service(name)     for the service that is called?
//!  Authenticator::recognize(..)           is that key known?
//!  Authenticator::authenticate(.., body)  does the signature hold, and whose is it?
//! ```
//!
//! What a caller may then do with a stream is for the stream's [`Policy`] to say.

mod canonical;
mod credentials;
mod error;
mod policy;
mod sigv4;
mod time;

pub use credentials::{
    AccessKey, Authenticator, Credential, CredentialStore, CredentialsFileError, User,
};
pub use error::AuthError;
pub use policy::{Caller, Policy, PolicyError, Verdict};
pub use sigv4::{RequestParts, SignedRequest, Signer, body_sha256};
pub use time::timestamp;
