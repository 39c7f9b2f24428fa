//! Certificates and kubeconfigs, made with the `openssl` program: one authority signs all of them.
//! They last a year and are not renewed: `cluster down` and `cluster up` make new ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::command::output_of;

const CURVE: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/// A directory of keys and certificates.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    folder: PathBuf,
}

/// Whom a certificate is for.
pub(crate) struct Subject<'a> {
    /// Names the files.
    pub(crate) file: &'a str,
    /// The user in Kubernetes.
    pub(crate) common_name: &'a str,
    /// The group in Kubernetes, if any.
    pub(crate) organization: &'a str,
    /// `IP:10.0.0.1,DNS:kubernetes`: what it may serve as; nothing for a client.
    pub(crate) serves: &'a str,
}

impl Pki {
    /// With an authority and the key that signs service accounts' tokens.
    pub(crate) fn open(folder: PathBuf) -> anyhow::Result<Pki> {
        fs::create_dir_all(&folder)?;
        let pki = Pki { folder };
        if !pki.path("ca.crt").exists() {
            let mut command = pki.request("ca");
            output_of(command.args(["-subj", "/CN=leat-e2e", "-out"]).arg(pki.path("ca.crt")))?;
        }
        if !pki.path("accounts.pub").exists() {
            let key = pki.text("accounts.key");
            let public = pki.text("accounts.pub");
            output_of(Command::new("openssl").args(["genrsa", "-out", &key, "2048"]))?;
            let public = ["rsa", "-in", &key, "-pubout", "-out", &public];
            output_of(Command::new("openssl").args(public))?;
        }
        Ok(pki)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The path for a command line.
    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).to_string_lossy().into_owned()
    }

    fn request(&self, file: &str) -> Command {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "365"]).args(CURVE);
        command.arg("-keyout").arg(self.path(&format!("{file}.key")));
        command
    }

    /// `FILE.crt` and `FILE.key`, unless they are there.
    pub(crate) fn issue(&self, subject: &Subject) -> anyhow::Result<()> {
        let certificate = self.path(&format!("{}.crt", subject.file));
        if certificate.exists() {
            return Ok(());
        }
        let name = match subject.organization {
            "" => format!("/CN={}", subject.common_name),
            organization => format!("/O={organization}/CN={}", subject.common_name),
        };
        let mut command = self.request(subject.file);
        command.arg("-CA").arg(self.path("ca.crt")).arg("-CAkey").arg(self.path("ca.key"));
        command.args(["-subj", &name, "-addext", "basicConstraints=critical,CA:FALSE"]);
        command.args(["-addext", "extendedKeyUsage=clientAuth,serverAuth"]);
        if !subject.serves.is_empty() {
            command.args(["-addext", &format!("subjectAltName={}", subject.serves)]);
        }
        output_of(command.arg("-out").arg(certificate))?;
        Ok(())
    }

    /// A client's certificate, and a kubeconfig at `target` that uses it.
    pub(crate) fn kubeconfig(
        &self,
        target: &Path,
        subject: &Subject,
        server: &str,
    ) -> anyhow::Result<()> {
        self.issue(subject)?;
        let file = subject.file;
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: leat-e2e
contexts:
- name: leat-e2e
  context: {{cluster: leat-e2e, user: {file}}}
clusters:
- name: leat-e2e
  cluster:
    server: {server}
    certificate-authority: {ca}
users:
- name: {file}
  user:
    client-certificate: {certificate}
    client-key: {key}
",
            ca = self.text("ca.crt"),
            certificate = self.text(&format!("{file}.crt")),
            key = self.text(&format!("{file}.key")),
        );
        fs::write(target, text)?;
        Ok(())
    }
}
