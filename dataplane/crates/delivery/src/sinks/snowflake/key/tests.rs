use base64_simd::URL_SAFE_NO_PAD;
use expect_test::{Expect, expect};
use operator_api::pods::SecretRef;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::*;
use crate::secrets::Secrets;
use crate::sinks::testing::{NOW, TestSecrets};

/// Made with openssl, all of the same key; the passphrase is `open`.
pub(crate) const PLAIN: &[u8] = include_bytes!("testdata/plain.pem");
const AES: &[u8] = include_bytes!("testdata/aes.pem");
const DES3: &[u8] = include_bytes!("testdata/des3.pem");
const PUBLIC: &[u8] = include_bytes!("testdata/public.der");

fn decoded(part: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
}

#[test]
fn a_token_says_who_signs_it_and_is_signed() {
    let key = Key::read(PLAIN, None).unwrap();
    let token = key.token("ORG-ACME", "LOADER", NOW).unwrap();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    expect![[r#"{"alg":"RS256","typ":"JWT"}"#]].assert_eq(&decoded(header));
    // The fingerprint is what openssl makes of the same key.
    expect![[r#"{"iss":"ORG-ACME.LOADER.SHA256:KegJOgpMMvOIpwkFrAeWZU9ffPkgWhdH+GiGSjdhoRs=","sub":"ORG-ACME.LOADER","iat":1767225600,"exp":1767228600}"#]]
        .assert_eq(&decoded(claims));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC);
    public.verify(signed.as_bytes(), &signature).unwrap();
    assert!(public.verify(format!("{signed}x").as_bytes(), &signature).is_err());
}

#[test]
fn keys_are_read_as_openssl_writes_them() {
    let check = |pem: &[u8], passphrase: Option<&str>, want: Expect| {
        let got = Key::read(pem, passphrase.map(str::as_bytes));
        want.assert_eq(&got.map_or_else(|error| error.to_string(), |key| key.fingerprint));
    };
    let good = || expect!["SHA256:KegJOgpMMvOIpwkFrAeWZU9ffPkgWhdH+GiGSjdhoRs="];
    check(PLAIN, None, good());
    check(PLAIN, Some("not needed"), good());
    check(AES, Some("open"), good());
    check(DES3, Some("open"), good());
    let windows = String::from_utf8_lossy(PLAIN).replace('\n', "\r\n");
    check(windows.as_bytes(), None, good());
    check(AES, None, expect!["the private key is encrypted: set keyPassphraseRef"]);
    check(AES, Some("shut"), expect!["the private key's passphrase is another"]);
    let unfit =
        "the private key is encrypted as it should not be: use PBES2 with PBKDF2, as openssl";
    for pem in [&include_bytes!("testdata/scrypt.pem")[..], include_bytes!("testdata/pbes1.pem")] {
        assert_eq!(Key::read(pem, Some(b"open")).err().unwrap().to_string(), unfit);
    }
    check(
        include_bytes!("testdata/ec.pem"),
        None,
        expect!["the private key is not an RSA key of 2048 to 4096 bits"],
    );
    let not_pem = "the private key is not PKCS #8 in PEM: it has no part PRIVATE KEY";
    let long = [b' '; PEM_BYTES_MAX + 1];
    let old = include_bytes!("testdata/pkcs1.pem");
    for bad in [&b""[..], b"-----BEGIN PRIVATE KEY-----\nAAAA", b"\xff", &long, old] {
        assert_eq!(Key::read(bad, None).err().unwrap().to_string(), not_pem);
    }
}

#[test]
fn the_account_is_in_the_address() {
    for (url, want) in [
        ("https://org-acme.snowflakecomputing.com", "ORG-ACME"),
        ("https://xy12345.eu-west-1.aws.privatelink.snowflakecomputing.com:443/", "XY12345"),
        ("https://acme-1234abcd.global.snowflakecomputing.com", "ACME"),
        ("http://localhost:8000", "LOCALHOST"),
        ("https://", ""),
    ] {
        assert_eq!(account(url), want, "{url}");
    }
}

#[tokio::test]
async fn a_new_secret_is_used_at_once() {
    let secrets = Arc::<TestSecrets>::default();
    let of = SnowflakeDestination {
        account_url: "https://a.snowflakecomputing.com".into(),
        user: "u".into(),
        private_key_ref: secrets.set("key", AES),
        key_passphrase_ref: Some(SecretRef { name: "s".into(), key: "passphrase".into() }),
        ..SnowflakeDestination::default()
    };
    let signer = Signer::new(Arc::new(of));
    let shared = Arc::clone(&secrets) as Arc<dyn Secrets>;
    let connector = Connector::new(None, shared, std::time::Duration::from_secs(1));
    let token = async || signer.token(&connector, NOW).await.map_err(|error| error.to_string());
    assert!(token().await.unwrap_err().contains("no entry passphrase in Secret s"));
    secrets.set("passphrase", "open\n");
    let first = token().await.unwrap();
    assert_eq!(token().await.unwrap(), first);
    secrets.set("passphrase", "shut");
    assert!(token().await.unwrap_err().contains("passphrase is another"));
    secrets.set("key", PLAIN);
    assert_eq!(token().await.unwrap(), first);
}
