//! The control plane's programs and how they are started. All on node-1, all on one machine: one of
//! each, no leader election, etcd without fsync, for what it keeps is thrown away with the cluster.

use std::path::Path;
use std::time::Duration;

use super::binaries::Binaries;
use super::network::{self, API_SERVICE, PODS, SERVICES};
use super::pki::{Pki, Subject};
use super::process::Daemon;

/// How long the API server may take on a busy machine.
pub(crate) const API_START_MAX: Duration = Duration::from_secs(120);
pub(crate) const ETCD_START_MAX: Duration = Duration::from_secs(60);
/// Not etcd's own ports: a machine may have one already.
pub(crate) const ETCD_ADDRESS: &str = "127.0.0.1:23790";
const ETCD: &str = "http://127.0.0.1:23790";
const ETCD_PEER: &str = "http://127.0.0.1:23800";

/// Where the API server listens: on the bridge, so that no other machine can reach it.
pub(crate) fn server() -> String {
    format!("https://{}:6443", network::node_address(1))
}

/// Certificates of the control plane and the kubeconfigs of its clients.
pub(crate) fn credentials(state: &Path, pki: &Pki) -> anyhow::Result<()> {
    let address = network::node_address(1);
    let names = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,\
                 DNS:kubernetes.default.svc.cluster.local,DNS:localhost";
    pki.issue(&Subject {
        file: "apiserver",
        common_name: "kube-apiserver",
        organization: "",
        serves: &format!("{names},IP:{API_SERVICE},IP:{address},IP:127.0.0.1"),
    })?;
    let client =
        |file, common_name, organization| Subject { file, common_name, organization, serves: "" };
    pki.issue(&client("to-kubelets", "kube-apiserver-kubelet-client", "system:masters"))?;
    pki.issue(&client("aggregator", "aggregator", ""))?;
    let server = server();
    for (target, subject) in [
        ("kubeconfig", client("admin", "admin", "system:masters")),
        ("controllers.kubeconfig", client("controllers", "system:kube-controller-manager", "")),
        ("scheduler.kubeconfig", client("scheduler", "system:kube-scheduler", "")),
        ("proxy.kubeconfig", client("proxy", "system:kube-proxy", "")),
    ] {
        pki.kubeconfig(&state.join(target), &subject, &server)?;
    }
    Ok(())
}

fn daemon(name: &str, program: &Path, flags: &[String]) -> Daemon {
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend_from_slice(flags);
    Daemon { name: name.to_owned(), command, netns: None, env: Vec::new() }
}

pub(crate) fn etcd(state: &Path) -> Daemon {
    let data = state.join("etcd");
    let flags = [
        "--name=leat-e2e".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=leat-e2e={ETCD_PEER}"),
        "--unsafe-no-fsync".to_owned(),
    ];
    daemon("etcd", Path::new("/usr/bin/etcd"), &flags)
}

pub(crate) fn api_server(binaries: &Binaries, pki: &Pki) -> Daemon {
    let address = network::node_address(1);
    let flags = [
        format!("--advertise-address={address}"),
        format!("--bind-address={address}"),
        "--secure-port=6443".to_owned(),
        format!("--etcd-servers={ETCD}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--client-ca-file={}", pki.text("ca.crt")),
        format!("--tls-cert-file={}", pki.text("apiserver.crt")),
        format!("--tls-private-key-file={}", pki.text("apiserver.key")),
        format!("--kubelet-certificate-authority={}", pki.text("ca.crt")),
        format!("--kubelet-client-certificate={}", pki.text("to-kubelets.crt")),
        format!("--kubelet-client-key={}", pki.text("to-kubelets.key")),
        // The nodes' names do not resolve.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", pki.text("accounts.pub")),
        format!("--service-account-signing-key-file={}", pki.text("accounts.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        // For API servers behind this one, such as that of the metrics an autoscaler reads.
        format!("--requestheader-client-ca-file={}", pki.text("ca.crt")),
        // Straight to their pods: the way over a Service would need kube-proxy on this machine.
        "--enable-aggregator-routing=true".to_owned(),
        "--requestheader-allowed-names=aggregator".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", pki.text("aggregator.crt")),
        format!("--proxy-client-key-file={}", pki.text("aggregator.key")),
    ];
    daemon("kube-apiserver", &binaries.kubernetes("kube-apiserver"), &flags)
}

pub(crate) fn controllers(state: &Path, binaries: &Binaries, pki: &Pki) -> Daemon {
    let kubeconfig = state.join("controllers.kubeconfig");
    let flags = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", pki.text("accounts.key")),
        format!("--root-ca-file={}", pki.text("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki.text("ca.crt")),
        format!("--cluster-signing-key-file={}", pki.text("ca.key")),
        format!("--cluster-cidr={PODS}"),
        "--allocate-node-cidrs=false".to_owned(),
        // A dead node is noticed after 20 s, not 50: tests wait for that. The kubelets report more
        // often, too.
        "--node-monitor-grace-period=20s".to_owned(),
        "--node-monitor-period=2s".to_owned(),
    ];
    daemon("kube-controller-manager", &binaries.kubernetes("kube-controller-manager"), &flags)
}

pub(crate) fn scheduler(state: &Path, binaries: &Binaries) -> Daemon {
    let kubeconfig = state.join("scheduler.kubeconfig");
    let flags = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
    ];
    daemon("kube-scheduler", &binaries.kubernetes("kube-scheduler"), &flags)
}

/// Makes volumes, in place of a storage vendor's program: see `cluster::provisioner`.
pub(crate) fn provisioner(state: &Path, binaries: &Binaries) -> Daemon {
    let mut daemon = daemon(
        "provisioner",
        &state.join("bin/cluster"),
        &["provisioner".to_owned(), state.to_string_lossy().into_owned()],
    );
    let kubectl = binaries.kubernetes("kubectl").to_string_lossy().into_owned();
    let kubeconfig = state.join("kubeconfig").to_string_lossy().into_owned();
    daemon.env = vec![("KUBECTL".to_owned(), kubectl), ("KUBECONFIG".to_owned(), kubeconfig)];
    daemon
}
