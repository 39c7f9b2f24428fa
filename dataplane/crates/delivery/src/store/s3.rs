//! Amazon S3 and what speaks its API.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};
use operator_api::delivery_stream::S3Destination;
use operator_api::pods::ClientTls;

use super::{StoreError, client_options, failed, line, malformed};
use crate::secrets::Secrets;

/// Where AWS's own programs find the address of an S3 that is not AWS's.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_S3";
const REGION_DEFAULT: &str = "us-east-1";

/// Opens the bucket with the secrets as they are now.
pub(super) fn open(
    s3: &S3Destination,
    secrets: &dyn Secrets,
    retry: RetryConfig,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let store = builder(s3, secrets)?.with_retry(retry).build();
    Ok(Arc::new(store.map_err(|source| failed(&s3.bucket, source))?))
}

fn builder(s3: &S3Destination, secrets: &dyn Secrets) -> Result<AmazonS3Builder, StoreError> {
    let named = std::env::var(ENDPOINT_VARIABLE).ok().filter(|text| !text.is_empty());
    let endpoint = s3.endpoint.clone().or(named);
    let is_path_style = s3.force_path_style.unwrap_or(endpoint.is_some());
    let options = with_tls(client_options(endpoint.as_deref()), s3.tls.as_ref(), secrets)?;
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&s3.bucket)
        .with_region(s3.region.as_deref().unwrap_or(REGION_DEFAULT))
        .with_virtual_hosted_style_request(!is_path_style)
        .with_client_options(options);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(credentials) = &s3.credentials {
        builder = builder
            .with_access_key_id(line(secrets, &credentials.access_key_id_ref)?)
            .with_secret_access_key(line(secrets, &credentials.secret_access_key_ref)?);
        if let Some(token) = &credentials.session_token_ref {
            builder = builder.with_token(line(secrets, token)?);
        }
    }
    if let Some(key) = &s3.kms_key_arn {
        builder = builder.with_sse_kms_encryption(key);
    }
    Ok(builder)
}

fn with_tls(
    mut options: ClientOptions,
    tls: Option<&ClientTls>,
    secrets: &dyn Secrets,
) -> Result<ClientOptions, StoreError> {
    let Some(ClientTls { ca_ref, insecure_skip_verify }) = tls else { return Ok(options) };
    if let Some(of) = ca_ref {
        let certificates = Certificate::from_pem_bundle(&secrets.get(of)?);
        for certificate in certificates.map_err(|_| malformed(of, "PEM certificate"))? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options.with_allow_invalid_certificates(*insecure_skip_verify == Some(true)))
}
