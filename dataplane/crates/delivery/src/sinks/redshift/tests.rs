use operator_api::delivery_stream::{CopyCommand, RedshiftDataApi, S3Destination};
use operator_api::pods::{AwsCredentials, ClientTls, UserCredentials};
use tokio::time::timeout;

use super::testing::{Act, Database};
use super::*;
use crate::sinks::testing::{StoppedClock, TestSecrets, tls_acceptor};

const PLAIN: &str = "?ssl=false";
const COPY: &str = r#"COPY "clicks" FROM 's3://way/m' ACCESS_KEY_ID 'id' SECRET_ACCESS_KEY 'hush' MANIFEST JSON 'auto'"#;

fn destination(secrets: &TestSecrets, port: u16, parameters: &str) -> RedshiftDestination {
    let credentials = AwsCredentials {
        access_key_id_ref: secrets.set("id", "id"),
        secret_access_key_ref: secrets.set("secret", "hush\n"),
        session_token_ref: None,
    };
    RedshiftDestination {
        cluster_jdbc_url: Some(format!("jdbc:redshift://127.0.0.1:{port}/dev{parameters}")),
        credentials: Some(UserCredentials {
            username_ref: secrets.set("user", "loader"),
            password_ref: secrets.set("password", "pass\n"),
        }),
        data_api: None,
        copy_command: CopyCommand {
            data_table_name: "clicks".to_owned(),
            data_table_columns: None,
            copy_options: Some("JSON 'auto'".to_owned()),
        },
        s3: S3Destination {
            bucket: "way".to_owned(),
            credentials: Some(credentials),
            ..S3Destination::default()
        },
        tls: None,
    }
}

fn redshift(secrets: &Arc<TestSecrets>, of: RedshiftDestination) -> Redshift {
    let secrets = Arc::clone(secrets) as Arc<dyn Secrets>;
    Redshift::new(of, secrets, Arc::new(StoppedClock)).unwrap()
}

/// One load; what became of it, and what the server saw.
async fn load(database: &Database) -> (Result<(), String>, Vec<String>) {
    let secrets = Arc::<TestSecrets>::default();
    let of = destination(&secrets, database.port, PLAIN);
    let loaded = redshift(&secrets, of).load("m", &mut 0).await;
    (loaded.map_err(|error| crate::chain(&error)), database.seen())
}

#[tokio::test]
async fn a_copy_is_a_transaction_of_the_user_in_the_secret() {
    let database = Database::willing().await;
    let secrets = Arc::<TestSecrets>::default();
    let redshift = redshift(&secrets, destination(&secrets, database.port, PLAIN));
    redshift.load("m", &mut 0).await.unwrap();
    assert_eq!(database.seen(), ["loader:pass at dev", "BEGIN", COPY, "COMMIT"]);
    secrets.set("password", "other");
    redshift.load("m", &mut 0).await.unwrap();
    assert_eq!(database.seen()[0], "loader:other at dev");
}

#[tokio::test]
async fn redshift_gets_at_the_bucket_by_the_access_key_or_as_the_options_say() {
    let database = Database::willing().await;
    let check = async |options: &str, with_token, want: &str| {
        let secrets = Arc::<TestSecrets>::default();
        let mut of = destination(&secrets, database.port, PLAIN);
        of.copy_command.copy_options = Some(options.to_owned());
        if let Some(credentials) = of.s3.credentials.as_mut().filter(|_| with_token) {
            credentials.session_token_ref = Some(secrets.set("token", "t"));
        }
        redshift(&secrets, of).load("m", &mut 0).await.unwrap();
        assert_eq!(database.seen()[2], format!(r#"COPY "clicks" FROM 's3://way/m' {want}"#));
    };
    let key = "ACCESS_KEY_ID 'id' SECRET_ACCESS_KEY 'hush'";
    check("CSV", false, &format!("{key} MANIFEST CSV")).await;
    check("CSV", true, &format!("{key} SESSION_TOKEN 't' MANIFEST CSV")).await;
    check("IAM_ROLE default CSV", true, "MANIFEST IAM_ROLE default CSV").await;
}

#[tokio::test]
async fn what_the_server_says_is_told_without_secrets() {
    let message = "syntax error at or near \"'hush'\"";
    let database = Database::scripted(vec![Act::Refuse("42601", message)]).await;
    let (loaded, seen) = load(&database).await;
    let want = "load: 42601 ERROR: syntax error at or near \"'***'\"; DETAIL: A detail.";
    assert_eq!(loaded, Err(want.to_owned()));
    assert_eq!(seen[1..], ["BEGIN", COPY], "not committed");
}

#[tokio::test]
async fn what_was_committed_is_loaded_even_if_the_server_closes_at_once() {
    let decide = |statement: &str| match statement {
        "COMMIT" => Act::DoAndClose,
        _ => Act::Do,
    };
    let database = Database::start(None, decide).await;
    assert_eq!(load(&database).await.0, Ok(()));
}

#[tokio::test]
async fn a_connection_that_ends_loads_nothing() {
    let check = async |act: Act, want: &str| {
        let database = Database::scripted(vec![act]).await;
        let (loaded, seen) = load(&database).await;
        let error = loaded.unwrap_err();
        assert!(error.starts_with("load: ") && error.contains(want), "{error}");
        assert!(!seen.contains(&"COMMIT".to_owned()), "{seen:?}");
    };
    check(Act::Close, "connection closed").await;
    // Says more than it may.
    let flood = [&b"E\x7f\xff\xff\xff"[..], &vec![b'x'; 2 << 20]].concat();
    check(Act::Say(flood), "communicating").await;
    check(Act::Say(b"E\0\0\0\0".to_vec()), "invalid").await;
}

#[tokio::test]
async fn a_copy_that_takes_too_long_is_cancelled() {
    let database = Database::scripted(vec![Act::Silence]).await;
    let secrets = Arc::<TestSecrets>::default();
    let mut redshift = redshift(&secrets, destination(&secrets, database.port, PLAIN));
    let Way::Wire(wire) = &mut redshift.way else { panic!("an address is connected to") };
    wire.load_max = Duration::from_millis(200);
    let error = redshift.load("m", &mut 0).await.unwrap_err();
    assert!(matches!(error, LoadError::LoadTimeout(_)), "{error:?}");
    let cancel = format!("cancel {:?}", "\0\0\0\u{7}\0\0\0\u{8}");
    let seen = async {
        let mut seen = Vec::new();
        while !seen.contains(&cancel) {
            seen.extend(database.seen());
            tokio::task::yield_now().await;
        }
        seen
    };
    let seen = timeout(Duration::from_secs(10), seen).await.unwrap();
    assert!(!seen.contains(&"COMMIT".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_logged_in_to_is_told() {
    let secrets = Arc::<TestSecrets>::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let away = redshift(&secrets, destination(&secrets, port, PLAIN));
    let error = crate::chain(&away.load("m", &mut 0).await.unwrap_err());
    assert!(error.starts_with("connect: Connection refused"), "{error}");

    let database = Database::willing().await;
    let mut of = destination(&secrets, database.port, PLAIN);
    secrets.set("password", "wrong");
    let error = redshift(&secrets, of.clone()).load("m", &mut 0).await.unwrap_err().to_string();
    assert_eq!(error, "log in: 28P01 FATAL: password authentication failed");
    of.credentials.as_mut().unwrap().password_ref.key = "none".to_owned();
    let error = redshift(&secrets, of).load("m", &mut 0).await.unwrap_err().to_string();
    assert_eq!(error, "there is no entry none in Secret s: create it");
}

#[tokio::test]
async fn the_connection_is_encrypted_unless_the_address_says_otherwise() {
    let (ca, acceptor) = tls_acceptor("127.0.0.1");
    let (other_ca, other_acceptor) = tls_acceptor("elsewhere.example");
    let secure = Database::start(Some(acceptor), |_| Act::Do).await;
    let elsewhere = Database::start(Some(other_acceptor), |_| Act::Do).await;
    let plain = Database::willing().await;
    let check = async |database: &Database, parameters, tls: Option<(&str, bool)>, want: &str| {
        let secrets = Arc::<TestSecrets>::default();
        let mut of = destination(&secrets, database.port, parameters);
        of.tls = tls.map(|(ca, trusts_any)| ClientTls {
            ca_ref: (!ca.is_empty()).then(|| secrets.set("ca", ca)),
            insecure_skip_verify: Some(trusts_any),
        });
        let loaded = redshift(&secrets, of).load("m", &mut 0).await;
        let got = loaded.map_or_else(|error| crate::chain(&error), |()| "loaded".to_owned());
        assert!(got.contains(want), "{got}, want {want}");
        assert_eq!(database.seen().is_empty(), want != "loaded");
    };
    check(&secure, "", Some((&ca, false)), "loaded").await;
    check(&secure, "?sslmode=require", Some((&ca, false)), "loaded").await;
    check(&secure, "", Some(("", true)), "loaded").await;
    check(&secure, "", None, "agree on TLS: invalid peer certificate").await;
    check(&secure, "", Some((&other_ca, false)), "agree on TLS: invalid peer certificate").await;
    check(&secure, "", Some(("no certificate", false)), "read the authorities to trust").await;
    check(&elsewhere, "", Some((&other_ca, false)), "not valid for name").await;
    check(&elsewhere, "", Some(("", true)), "loaded").await;
    check(&plain, "", None, "the server speaks none").await;
    check(&plain, PLAIN, None, "loaded").await;
}

#[test]
fn what_a_resource_has_wrong_is_told_at_once() {
    let check = |change: &dyn Fn(&mut RedshiftDestination), want: &str| {
        let secrets = Arc::<TestSecrets>::default();
        let mut of = destination(&secrets, 1, PLAIN);
        change(&mut of);
        let error = Redshift::new(of, secrets, Arc::new(StoppedClock)).err().expect(want);
        let text = crate::chain(&error);
        assert!(text.starts_with("spec.destination.redshift") && text.contains(want), "{text}");
    };
    let url = |url: &str| Some(url.to_owned());
    check(&|of| of.cluster_jdbc_url = url("jdbc:redshift://h"), "names no database");
    check(&|of| of.cluster_jdbc_url = None, "needs clusterJdbcUrl or dataApi");
    check(&|of| of.data_api = Some(RedshiftDataApi::default()), "and not both");
    check(&|of| of.credentials = None, "credentials are needed to log in");
    check(&|of| of.tls = Some(ClientTls::default()), "remove one");
    check(&|of| of.copy_command.data_table_name = "a b".to_owned(), "dataTableName");
    check(&|of| of.copy_command.copy_options = Some("; DROP".to_owned()), "copyOptions");
    let zip = operator_api::delivery_stream::ObjectCompression::Zip;
    check(&|of| of.s3.compression = Some(zip), "objects are Zip");
}
