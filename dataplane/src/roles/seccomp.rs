//! A seccomp profile goes where the kubelet looks for profiles.

use anyhow::Context;

use crate::args::InstallSeccompArgs;

/// Copies it.
pub(crate) fn run(args: &InstallSeccompArgs) -> anyhow::Result<()> {
    let profile = std::fs::read_to_string(&args.from);
    let profile = profile.with_context(|| format!("read {}", args.from.display()))?;
    serde_json::from_str::<serde_json::Value>(&profile)
        .with_context(|| format!("{} is no profile", args.from.display()))?;
    storage::crashsafe::write_file(&args.to, profile.as_bytes())
        .with_context(|| format!("write {}", args.to.display()))
}
