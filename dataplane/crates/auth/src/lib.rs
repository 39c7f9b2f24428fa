//! SigV4 verification and the credential store.
