//! Access keys: Secrets labelled `leat.dev/access-key=true`, each of a service account.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use auth::{AccessKey, CredentialStore};
use catalog_kube::WatchPause;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::watch;

use operator_core::names::account_id;

use super::accounts::Namespaces;

const LABEL: &str = "leat.dev/access-key=true";
const SERVICE_ACCOUNT: &str = "leat.dev/service-account";
/// How long a start waits for the Secrets to be known.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Watches them in the background; returns when all are known.
pub(super) async fn start(client: Client, accounts: Arc<Namespaces>) -> anyhow::Result<()> {
    let (ready, mut is_ready) = watch::channel(false);
    tokio::spawn(watch_secrets(client, accounts, ready));
    let known = tokio::time::timeout(WAIT_MAX, is_ready.wait_for(|ready| *ready)).await;
    match known {
        Ok(Ok(_)) => Ok(()),
        _ => bail!("the Secrets with access keys could not be read within {WAIT_MAX:?}"),
    }
}

/// By namespace and name; with when each was made.
type Keys = HashMap<(String, String), (Option<Time>, AccessKey)>;

async fn watch_secrets(client: Client, accounts: Arc<Namespaces>, ready: watch::Sender<bool>) {
    let api: Api<Secret> = Api::all(client);
    let labelled = watcher::Config::default().labels(LABEL);
    let mut events = pin!(watcher::watcher(api, labelled).backoff(WatchPause::default()));
    let mut keys = Keys::new();
    let mut listed = Keys::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(secret)) => {
                take(&mut listed, &secret);
                continue;
            }
            Ok(Event::InitDone) => keys = std::mem::take(&mut listed),
            Ok(Event::Apply(secret)) => take(&mut keys, &secret),
            Ok(Event::Delete(secret)) => drop(keys.remove(&identity(&secret))),
            Err(error) => {
                tracing::warn!(%error, "watch access keys");
                continue;
            }
        }
        let (keys, namespaces) = let_in(&keys);
        accounts.set(CredentialStore::of(keys.into_iter()), namespaces.into_iter());
        ready.send_replace(true);
    }
}

/// Those who are let in, and their namespaces. What two claim is the older's: an access key's id, which
/// is no secret, and an account, which two namespaces' names may stand for.
fn let_in(keys: &Keys) -> (Vec<AccessKey>, Vec<String>) {
    let mut by_age: Vec<_> = keys.iter().collect();
    by_age.sort_by_key(|(identity, (made, _))| (made.as_ref().map(|made| made.0), *identity));
    let mut owners: HashMap<&str, &str> = HashMap::new();
    let mut ids: HashSet<&str> = HashSet::new();
    let mut let_in = Vec::new();
    for ((namespace, name), (_, key)) in by_age {
        let owner = *owners.entry(&key.account).or_insert(namespace);
        if owner != namespace || !ids.insert(&key.id) {
            tracing::warn!(
                namespace,
                secret = name,
                owner,
                "its access key or account is another's"
            );
            continue;
        }
        let_in.push(key.clone());
    }
    (let_in, owners.into_values().map(str::to_owned).collect())
}

fn identity(secret: &Secret) -> (String, String) {
    let metadata = &secret.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&metadata.namespace), text(&metadata.name))
}

/// Takes the key of a Secret; one that has none lets nobody in.
fn take(keys: &mut Keys, secret: &Secret) {
    let (namespace, name) = identity(secret);
    match access_key(secret, &namespace) {
        Ok(key) => {
            let made = secret.metadata.creation_timestamp.clone();
            keys.insert((namespace, name), (made, key));
        }
        Err(what) => {
            tracing::warn!(namespace, secret = name, what, "a Secret is no access key");
            keys.remove(&(namespace, name));
        }
    }
}

fn access_key(secret: &Secret, namespace: &str) -> Result<AccessKey, String> {
    let entry = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        let text = bytes.map(|bytes| String::from_utf8(bytes.0.clone())).transpose();
        let text = text.map_err(|_| format!("{name} is no text"))?;
        Ok::<_, String>(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let required = |name: &str| entry(name)?.ok_or_else(|| format!("{name} is missing"));
    let annotations = secret.metadata.annotations.as_ref();
    let account = annotations.and_then(|annotations| annotations.get(SERVICE_ACCOUNT));
    let account = account.ok_or_else(|| format!("annotation {SERVICE_ACCOUNT} is missing"))?;
    Ok(AccessKey {
        id: required("aws_access_key_id")?,
        secret: required("aws_secret_access_key")?,
        session_token: entry("aws_session_token")?,
        account: account_id(namespace),
        user: account.clone(),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn what_two_claim_is_the_olders() {
        let mut keys = Keys::new();
        let mut add = |namespace: &str, seconds: i64, id: &str, account: &str| {
            let made = Some(Time(Timestamp::from_second(seconds).unwrap()));
            let (account, user) = (account.to_owned(), namespace.to_owned());
            let key = AccessKey {
                id: id.to_owned(),
                secret: "s".to_owned(),
                session_token: None,
                account,
                user,
            };
            keys.insert((namespace.to_owned(), id.to_owned()), (made, key));
        };
        add("shop", 1, "AKIDSHOP", "1");
        add("thief", 2, "AKIDSHOP", "2");
        add("twin", 3, "AKIDTWIN", "1");
        add("other", 4, "AKIDOTHER", "3");
        let (let_in, namespaces) = let_in(&keys);
        let users: Vec<&str> = let_in.iter().map(|key| &*key.user).collect();
        assert_eq!(users, ["shop", "other"]);
        assert!(!namespaces.contains(&"twin".to_owned()), "{namespaces:?}");
    }
}
