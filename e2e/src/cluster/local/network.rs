//! Addresses, bridges, namespaces and routes of the cluster's network, all on this machine.
//!
//! node-1 is the machine itself, at the bridge's own address; each further node is a network
//! namespace at the end of a veth pair. Each node has a subnet for its pods, and every other node a
//! route to it: packets keep their sender's address. Nothing leaves the machine: what pods send to
//! addresses of nobody here is refused at the bridge, and other nodes have no default route.

use std::process::Command;

use anyhow::{Context, bail};

use crate::cluster::command::{output_of, with_input};

pub(crate) const BRIDGE: &str = "leat-nodes";
pub(crate) const SERVICES: &str = "10.96.0.0/16";
pub(crate) const API_SERVICE: &str = "10.96.0.1";
pub(crate) const DNS_SERVICE: &str = "10.96.0.10";
pub(crate) const PODS: &str = "10.85.0.0/16";
const NODES: &str = "10.87.0.0/24";
const CHAIN: &str = "LEAT-E2E";

/// What every node's name starts with; also names the namespaces and veths.
pub(crate) fn node_name(number: u8) -> String {
    format!("node-{number}")
}

pub(crate) fn node_address(number: u8) -> String {
    format!("10.87.0.{number}")
}

pub(crate) fn pod_subnet(number: u8) -> String {
    format!("10.85.{number}.0/24")
}

/// The namespace, and the machine's end of the veth pair.
pub(crate) fn netns(number: u8) -> Option<String> {
    (1 < number).then(|| format!("leat-{}", node_name(number)))
}

/// Makes what is not there yet.
pub(crate) fn up(nodes: u8) -> anyhow::Result<()> {
    if ip(&["link", "show", BRIDGE]).is_err() {
        ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    }
    ip(&["address", "replace", &format!("{}/24", node_address(1)), "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])?;
    // The bridge is where packets to a Service go that kube-proxy does not (yet) redirect: not out
    // by the machine's default route.
    ip(&["route", "replace", SERVICES, "dev", BRIDGE])?;
    run(Command::new("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
    forward_rules()?;
    for number in 2..=nodes {
        node_up(number, nodes).with_context(|| format!("network of {}", node_name(number)))?;
    }
    Ok(())
}

fn node_up(number: u8, nodes: u8) -> anyhow::Result<()> {
    let name = netns(number).context("node-1 has no namespace")?;
    if ip(&["-n", &name, "link", "show", "eth0"]).is_err() {
        if ip(&["-n", &name, "link", "show"]).is_err() {
            ip(&["netns", "add", &name])?;
        }
        ip(&["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
    }
    ip(&["link", "set", &name, "master", BRIDGE, "up"])?;
    let inside = |arguments: &[&str]| ip(&[&["-n", name.as_str()], arguments].concat());
    inside(&["link", "set", "lo", "up"])?;
    let address = format!("{}/24", node_address(number));
    inside(&["address", "replace", &address, "dev", "eth0"])?;
    inside(&["link", "set", "eth0", "up"])?;
    inside(&["route", "replace", SERVICES, "dev", "eth0"])?;
    for other in (1..=nodes).filter(|other| *other != number) {
        inside(&["route", "replace", &pod_subnet(other), "via", &node_address(other)])?;
    }
    let forward = ["sysctl", "-qw", "net.ipv4.ip_forward=1"];
    run(Command::new("nsenter").arg(format!("--net=/run/netns/{name}")).args(forward))?;
    ip(&["route", "replace", &pod_subnet(number), "via", &node_address(number)])?;
    Ok(())
}

/// From pods and nodes to pods, nodes and Services; nowhere else.
fn forward_rules() -> anyhow::Result<()> {
    // Made anew each time: a rule that is there twice is harder to take away.
    forward_rules_down();
    iptables(&["-N", CHAIN])?;
    for source in [PODS, NODES] {
        for target in [PODS, NODES, SERVICES] {
            iptables(&["-A", CHAIN, "-s", source, "-d", target, "-j", "ACCEPT"])?;
        }
        iptables(&["-A", CHAIN, "-s", source, "-j", "REJECT"])?;
    }
    iptables(&["-I", "FORWARD", "-j", CHAIN])
}

fn forward_rules_down() {
    // Each fails when it is not there.
    let _ = iptables(&["-D", "FORWARD", "-j", CHAIN]);
    let _ = iptables(&["-F", CHAIN]);
    let _ = iptables(&["-X", CHAIN]);
}

/// Takes everything away. What is not there is fine, and so is what will not go: it is said.
pub(crate) fn down() {
    for name in namespaces() {
        // The pods' processes are dead by now; with the namespace its end of the pair goes, and so
        // ours, and all that kube-proxy wrote into its tables.
        report(ip(&["netns", "delete", &name]));
        let _ = ip(&["link", "delete", &name]);
    }
    for cable in pod_cables() {
        report(ip(&["link", "delete", &cable]));
    }
    if ip(&["link", "show", BRIDGE]).is_ok() {
        report(ip(&["link", "delete", BRIDGE]));
    }
    forward_rules_down();
    for program in ["iptables", "ip6tables"] {
        for table in ["filter", "nat", "mangle"] {
            report(remove_kubernetes_chains(program, table));
        }
    }
}

fn report(result: anyhow::Result<impl Sized>) {
    if let Err(error) = result {
        eprintln!("left behind: {error:#}");
    }
}

/// This machine's ends of node-1's pods' cables. They outlive the processes of their pods until the
/// kernel has taken the pods' namespaces apart.
fn pod_cables() -> Vec<String> {
    let gateway = pod_subnet(1).replace(".0/24", ".1/32");
    let listed = ip(&["-oneline", "-4", "address", "show", "type", "veth"]).unwrap_or_default();
    // `170: veth914fdc18    inet 10.85.1.1/32 ...`
    let ours = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = ours.filter(|words| words.get(3) == Some(&gateway.as_str()));
    ours.filter_map(|words| words.get(1).map(|name| (*name).to_owned())).collect()
}

fn namespaces() -> Vec<String> {
    let listed = ip(&["netns", "list"]).unwrap_or_default();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| name.starts_with("leat-node-")).map(str::to_owned).collect()
}

/// kube-proxy's and the kubelet's chains on the machine itself: they keep rules for Services that
/// no longer exist.
fn remove_kubernetes_chains(program: &str, table: &str) -> anyhow::Result<()> {
    let rules = output(Command::new(format!("{program}-save")).args(["-t", table]))?;
    let mut restore = format!("*{table}\n");
    let ours = |line: &str| line.contains("KUBE-") || line.contains("CNI-");
    if !rules.lines().any(ours) {
        return Ok(());
    }
    // Rules in chains that stay are taken out one by one; the others go with their chains, which
    // can be deleted only when nothing refers to them: first all are emptied.
    let own_chain = |line: &str| line.starts_with("-A KUBE-") || line.starts_with("-A CNI-");
    let chains: Vec<&str> = rules
        .lines()
        .filter(|line| line.starts_with(':') && ours(line))
        .filter_map(|line| line[1..].split_whitespace().next())
        .collect();
    for rule in rules.lines().filter(|line| ours(line) && line.starts_with("-A")) {
        if !own_chain(rule) {
            restore.push_str(&format!("-D {}\n", &rule[3..]));
        }
    }
    for step in ["-F", "-X"] {
        for chain in &chains {
            restore.push_str(&format!("{step} {chain}\n"));
        }
    }
    restore.push_str("COMMIT\n");
    let mut command = Command::new(format!("{program}-restore"));
    command.arg("--noflush");
    with_input(&mut command, restore.as_bytes()).map(|_| ())
}

/// Takes the plug of a node's cable out, or puts it back.
pub(crate) fn set_link(number: u8, state: &str) -> anyhow::Result<()> {
    let Some(name) = netns(number) else {
        bail!("node-1 is the machine itself and has no cable: cut node-2");
    };
    ip(&["link", "set", &name, state]).map(|_| ())
}

pub(crate) fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    output(Command::new("ip").args(arguments))
}

fn iptables(arguments: &[&str]) -> anyhow::Result<()> {
    // -w: kube-proxy may be holding the lock.
    run(Command::new("iptables").args(["-w", "10"]).args(arguments))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(|_| ())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    output_of(command)
}
