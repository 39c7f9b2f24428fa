//! Certificates, as pure functions of keys and the time: those of pods that hold shards, and those
//! by which gateway and operator show themselves to them.

use std::time::Duration;

use model::UnixMillis;
use node_config::{CONTROL_HOST, delivery_host};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use x509_parser::extensions::GeneralName;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LASTS: Duration = Duration::from_secs(3650 * DAY.as_secs());
const LASTS: Duration = Duration::from_secs(90 * DAY.as_secs());
/// With less left than this, there is a new one.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * DAY.as_secs());
/// Clocks of nodes may be behind by so much.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    /// `tls.crt` or `tls.key` of the authority does not parse.
    #[error("read the certificate authority")]
    Authority(#[source] rcgen::Error),
    /// The certificate is not that of the key.
    #[error("the authority's tls.crt is not of its tls.key")]
    NotOfKey,
    /// Signing failed.
    #[error("issue a certificate")]
    Issue(#[source] rcgen::Error),
}

/// A certificate and its key, both PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// The pods of a StatefulSet, which serve.
    Pods { stateful_set: &'a str, namespace: &'a str },
    /// The operator, or a gateway: they call them.
    Control(&'a str),
    /// The pods of a StatefulSet that deliver: they call those of their namespace.
    Delivery { stateful_set: &'a str, namespace: &'a str },
}

impl Subject<'_> {
    /// The names that it has.
    fn hosts(&self) -> Vec<String> {
        match self {
            Subject::Pods { stateful_set, namespace } => {
                let short = format!("*.{stateful_set}.{namespace}.svc");
                let long = format!("{short}.cluster.local");
                vec![short, long]
            }
            Subject::Control(_) => vec![CONTROL_HOST.to_owned()],
            Subject::Delivery { namespace, .. } => vec![delivery_host(namespace)],
        }
    }
}

/// Who signs certificates.
pub(crate) struct Authority {
    /// Its certificate, PEM.
    pub(crate) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A new authority's certificate and key.
pub(crate) fn new_authority(now: UnixMillis) -> Result<Issued, PkiError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Issue)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "leat");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, AUTHORITY_LASTS);
    let certificate = params.self_signed(&key).map_err(PkiError::Issue)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

impl Authority {
    /// One that was made before, or that somebody brought.
    pub(crate) fn load(certificate: String, key: &str) -> Result<Authority, PkiError> {
        let key = KeyPair::from_pem(key).map_err(PkiError::Authority)?;
        if !is_of_key(&certificate, &key) {
            return Err(PkiError::NotOfKey);
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(PkiError::Authority)?;
        Ok(Authority { certificate, issuer })
    }

    /// A new key, and a certificate for it.
    pub(crate) fn issue(&self, subject: Subject<'_>, now: UnixMillis) -> Result<Issued, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Issue)?;
        let mut params = CertificateParams::new(subject.hosts()).map_err(PkiError::Issue)?;
        let (name, usage) = match subject {
            // A set's name has at most 46 characters, a common name 64.
            Subject::Pods { stateful_set, .. } => {
                (stateful_set, ExtendedKeyUsagePurpose::ServerAuth)
            }
            Subject::Control(name) | Subject::Delivery { stateful_set: name, .. } => {
                (name, ExtendedKeyUsagePurpose::ClientAuth)
            }
        };
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LASTS);
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Issue)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Whether a certificate and key serve their subject for a while yet. Those that do not parse do not.
pub(crate) fn is_current(
    certificate: &str,
    key: &str,
    subject: Subject<'_>,
    now: UnixMillis,
) -> bool {
    let Ok(key) = KeyPair::from_pem(key) else { return false };
    if !is_of_key(certificate, &key) {
        return false;
    }
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()) else {
        return false;
    };
    let Ok(x509) = pem.parse_x509() else { return false };
    let ends = u64::try_from(x509.validity().not_after.timestamp()).unwrap_or_default();
    let renewed_at = UnixMillis(ends.saturating_mul(1000)).saturating_sub(RENEWED_BEFORE);
    let names = x509.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    let hosts = subject.hosts();
    let has = |host: &String| names.iter().any(|name| *name == GeneralName::DNSName(host));
    now < renewed_at && names.len() == hosts.len() && hosts.iter().all(has)
}

fn is_of_key(certificate: &str, key: &KeyPair) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()) else {
        return false;
    };
    let Ok(x509) = pem.parse_x509() else { return false };
    x509.public_key().raw == key.subject_public_key_info()
}

fn set_validity(params: &mut CertificateParams, now: UnixMillis, lasts: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(now.saturating_sub(SKEW).0);
    params.not_after = epoch + Duration::from_millis(now.saturating_add(lasts).0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const PODS: Subject<'_> = Subject::Pods { stateful_set: "clicks-stream", namespace: "shop" };

    fn authority() -> Authority {
        let issued = new_authority(NOW).unwrap();
        Authority::load(issued.certificate, &issued.key).unwrap()
    }

    #[test]
    fn certificates_are_renewed_with_less_than_thirty_days_left() {
        let issued = authority().issue(PODS, NOW).unwrap();
        let current = |days: u64| {
            let then = NOW.saturating_add(DAY * u32::try_from(days).unwrap());
            is_current(&issued.certificate, &issued.key, PODS, then)
        };
        assert!(current(0) && current(59));
        assert!(!current(60) && !current(61) && !current(1000));
    }

    #[test]
    fn certificates_are_of_their_subject_and_key() {
        let authority = authority();
        let (one, other) =
            (authority.issue(PODS, NOW).unwrap(), authority.issue(PODS, NOW).unwrap());
        assert!(is_current(&one.certificate, &one.key, PODS, NOW));
        assert!(!is_current(&one.certificate, &other.key, PODS, NOW));
        let elsewhere = Subject::Pods { stateful_set: "clicks-stream", namespace: "other" };
        assert!(!is_current(&one.certificate, &one.key, elsewhere, NOW));
        assert!(!is_current("", "", PODS, NOW));
        assert!(!is_current(&one.certificate, "junk", PODS, NOW));
        let client = Subject::Control("leat-gateway");
        let issued = authority.issue(client, NOW).unwrap();
        assert!(is_current(&issued.certificate, &issued.key, client, NOW));
        let delivery = |namespace| Subject::Delivery { stateful_set: "a-delivery", namespace };
        assert!(!is_current(&issued.certificate, &issued.key, delivery("shop"), NOW));
        let issued = authority.issue(delivery("shop"), NOW).unwrap();
        assert!(is_current(&issued.certificate, &issued.key, delivery("shop"), NOW));
        assert!(!is_current(&issued.certificate, &issued.key, delivery("other"), NOW));
    }

    #[test]
    fn an_authority_is_loaded_with_its_own_key_only() {
        let (one, other) = (new_authority(NOW).unwrap(), new_authority(NOW).unwrap());
        let loaded = Authority::load(one.certificate.clone(), &other.key);
        assert!(matches!(loaded, Err(PkiError::NotOfKey)));
        assert!(Authority::load("junk".into(), &one.key).is_err());
        assert!(Authority::load(one.certificate, "junk").is_err());
    }
}
