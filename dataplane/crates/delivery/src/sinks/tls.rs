//! TLS to servers that do not speak HTTP. It trusts what the HTTP client trusts.

use std::sync::Arc;

use operator_api::pods::ClientTls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::client::TransferError;
use crate::secrets::Secrets;

/// How the certificate of a server is checked, with the authorities as they are in the Secret now.
pub(super) fn client_config(
    tls: Option<&ClientTls>,
    secrets: &dyn Secrets,
) -> Result<ClientConfig, TransferError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> =
        if tls.is_some_and(|tls| tls.insecure_skip_verify == Some(true)) {
            Arc::new(TrustsAny(provider.signature_verification_algorithms))
        } else {
            let roots = Arc::new(roots(tls, secrets)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| invalid(&error))?
        };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

fn roots(tls: Option<&ClientTls>, secrets: &dyn Secrets) -> Result<RootCertStore, TransferError> {
    let mut roots = RootCertStore::empty();
    let Some(of) = tls.and_then(|tls| tls.ca_ref.as_ref()) else {
        // Of what a system trusts, some may be of a kind that is not known here.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(&secrets.get(of)?) {
        let certificate = certificate.map_err(|error| invalid(&error))?;
        roots.add(certificate).map_err(|error| invalid(&error))?;
    }
    Ok(roots)
}

fn invalid(error: &impl ToString) -> TransferError {
    TransferError::Authorities(error.to_string())
}

/// Only that the server has the key of its certificate is checked, whoever made that.
#[derive(Debug)]
struct TrustsAny(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TrustsAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
