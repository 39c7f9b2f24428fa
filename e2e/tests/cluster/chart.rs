//! The Helm chart without a cluster: it is sound under several sets of values, refuses what it
//! cannot mean, and what it runs is within PodSecurity's level "restricted".

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use e2e::cluster::leat;
use serde::Deserialize;
use serde_json::Value;

/// Everything on; and the other two sources of a certificate.
const SETS: [&str; 4] = [
    "{}",
    r#"{
        "image": {"tag": "1.2.3", "pullSecrets": [{"name": "regcred"}]},
        "tls": {"mode": "selfSigned", "extraNames": ["kinesis.example.org"]},
        "operator": {
            "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "high", "podAnnotations": {"x": "y"}
        },
        "gateway": {
            "autoscaling": {"enabled": true},
            "service": {
                "type": "LoadBalancer", "annotations": {"x": "y"}, "sourceRanges": ["10.0.0.0/8"]
            },
            "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "high", "podAnnotations": {"x": "y"}
        },
        "networkPolicy": {"enabled": true, "gatewayFrom": [{"namespaceSelector": {}}]},
        "metrics": {
            "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": true}
        },
        "seccomp": {"installer": {"enabled": true}},
        "tests": {"accessKey": {"create": true}}
    }"#,
    r#"{
        "tls": {"mode": "certManager", "certManager": {"issuer": {"name": "corporate"}}},
        "rbac": {"aggregate": false}
    }"#,
    r#"{
        "tls": {"mode": "secret", "secretName": "my-certificate"},
        "tests": {"accessKey": {"create": true}}
    }"#,
];

fn helm(command: &str, values: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.json");
    std::fs::write(&file, values).unwrap();
    // Without a cluster, helm has to be told which one it is for.
    Command::new(leat::helm().unwrap())
        .args(command.split(' '))
        .arg(leat::chart())
        .args(["--namespace", leat::NAMESPACE, "--kube-version", "1.34.0", "--values"])
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let (out, errors) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(errors))
}

fn rendered(values: &str) -> Vec<Value> {
    let output = helm("template leat", values, &[]);
    assert!(output.status.success(), "{values}: {}", text(&output));
    let yaml = String::from_utf8(output.stdout).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&yaml);
    let objects = documents.map(|one| Value::deserialize(one).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}

/// The pods that objects make, by the objects' kinds and names.
fn pods(objects: &[Value]) -> Vec<(String, &Value)> {
    let pod = |object: &Value| match object["kind"].as_str().unwrap() {
        "Pod" => "/spec",
        "Deployment" | "DaemonSet" => "/spec/template/spec",
        _ => "/none",
    };
    let name = |object: &Value| {
        let part = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        format!("{} {}", part("/kind"), part("/metadata/name"))
    };
    let found = objects.iter().filter_map(|object| Some((object, object.pointer(pod(object))?)));
    found.map(|(object, pod)| (name(object), pod)).collect()
}

#[test]
fn the_chart_is_sound_with_all_values() {
    for values in SETS {
        let output = helm("lint --strict", values, &[]);
        assert!(output.status.success(), "{values}: {}", text(&output));
        let objects = rendered(values);
        let mut names = BTreeSet::new();
        for object in &objects {
            let metadata = &object["metadata"];
            let name = format!("{} {}", object["kind"], metadata["name"]);
            assert!(names.insert(name.clone()), "{name} is there twice");
            let is_cluster_wide = object["kind"].as_str().unwrap().starts_with("Cluster");
            assert_eq!(metadata["namespace"].is_null(), is_cluster_wide, "{name}");
        }
        assert!(pods(&objects).iter().any(|(name, _)| name == "Deployment leat-gateway"));
    }
}

#[test]
fn the_api_server_takes_all_that_the_chart_makes() {
    let (cluster, _guard) = super::cluster();
    let namespace = cluster.namespace("chart").unwrap();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), label]).unwrap();
    // Other people's kinds are not on this cluster; the installer says that it needs more rights.
    let is_ours = |object: &Value| {
        !["ServiceMonitor", "Certificate", "DaemonSet"].iter().any(|kind| object["kind"] == **kind)
    };
    for values in SETS {
        for mut object in rendered(values).into_iter().filter(is_ours) {
            if !object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = namespace.name().into();
            }
            let mut command = cluster.kubectl_command();
            command.args([
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "-f",
                "-",
            ]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = text(&output);
            let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
            assert!(output.status.success(), "{name}: {said}");
            assert!(!said.contains("Warning"), "{name}: {said}");
        }
    }
}

#[test]
fn the_chart_runs_what_pod_security_calls_restricted() {
    for values in SETS {
        let objects = rendered(values);
        // It writes to the node: off unless asked for, and it says what it needs.
        let pods = pods(&objects).into_iter().filter(|(name, _)| name != "DaemonSet leat-seccomp");
        for (name, pod) in pods {
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for container in pod["containers"].as_array().unwrap() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
                assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{name}");
            }
            let volumes = pod["volumes"].as_array();
            let from_node = |volume: &Value| !volume["hostPath"].is_null();
            assert!(!volumes.is_some_and(|volumes| volumes.iter().any(from_node)), "{name}");
        }
    }
}

#[test]
fn the_gateway_serves_tls_where_there_is_a_certificate() {
    let secrets = [None, Some("leat-tls"), Some("leat-tls"), Some("my-certificate")];
    for (values, secret) in SETS.iter().zip(secrets) {
        let objects = rendered(values);
        let pods = pods(&objects);
        let (_, pod) = pods.iter().find(|(name, _)| name == "Deployment leat-gateway").unwrap();
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "tls");
        let mounted = volume.map(|volume| volume["secret"]["secretName"].as_str().unwrap());
        assert_eq!(mounted, secret);
        let container = &pod["containers"][0];
        let words = container["command"].as_array().unwrap();
        let certificate = words.iter().any(|word| word == "--tls-cert=/etc/leat/tls/tls.crt");
        assert_eq!(certificate, secret.is_some());
        let scheme = if secret.is_some() { "HTTPS" } else { "HTTP" };
        for probe in ["livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["scheme"], scheme);
        }
    }
}

/// What `helm template` says to these values, which it must refuse.
fn refusal(values: &str) -> String {
    let output = helm("template leat", values, &[]);
    assert!(!output.status.success(), "{values} was taken");
    text(&output)
}

#[test]
fn the_chart_refuses_what_it_cannot_mean_and_says_why() {
    // The value's path, in the words of the schema or ours.
    for (values, said) in [
        (r#"{"gateway": {"replica": 3}}"#, "replica"),
        (r#"{"gateway": {"replicas": 0}}"#, "replicas"),
        (r#"{"tls": {"mode": "maybe"}}"#, "mode"),
        (r#"{"tls": {"mode": "secret"}}"#, "tls.secretName says which"),
        (r#"{"tls": {"mode": "certManager"}}"#, "tls.certManager.issuer.name says who signs"),
        (r#"{"operator": {"pools": {"volumeSize": "big"}}}"#, "volumeSize"),
    ] {
        let text = refusal(values);
        assert!(text.contains(said), "{values}: {text}");
    }
}

#[test]
fn the_profile_permits_io_uring_and_nothing_that_makes_namespaces() {
    let objects = rendered(SETS[1]);
    let named = |object: &&Value| {
        object["kind"] == "ConfigMap" && object["metadata"]["name"] == "leat-seccomp"
    };
    let profile = &objects.iter().find(named).unwrap()["data"]["leat.json"];
    let profile: Value = serde_json::from_str(profile.as_str().unwrap()).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let rules = profile["syscalls"].as_array().unwrap();
    let allowed: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW" && rule["args"].is_null())
        .flat_map(|rule| rule["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "fdatasync"] {
        assert!(allowed.contains(call), "{call}");
    }
    for call in ["clone", "clone3", "unshare", "setns", "mount", "bpf", "ptrace", "socket"] {
        assert!(!allowed.contains(call), "{call}");
    }
}
