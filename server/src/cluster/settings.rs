//! The settings of a cluster.

use std::{fmt, path::PathBuf, sync::Arc};

use async_nats::{ConnectOptions, ServerAddr};
use clap::Args;
use percent_encoding::percent_decode_str;

use super::{Cluster, audience::Audience, bus, bus::Bus, seal::Seal, wire::Node};
use crate::{Server, StartupError, counter::elsewhere::OtherMachines};

/// Characters of the shortest secret. Random text of this length has 80 bits or more.
const MIN_SECRET_CHARS: usize = 16;
/// The flags of a cluster change only with a restart.
const FLAGS: [&str; 4] = ["cluster", "cluster-name", "cluster-secret", "cluster-ca"];
/// Characters of a cluster's name.
const MAX_NAME_CHARS: usize = 64;

/// How several machines count together.
#[derive(Clone, Args)]
#[command(next_help_heading = "Cluster")]
#[non_exhaustive]
pub struct ClusterSettings {
    /// NATS servers through which several machines count together, such as `nats://10.0.0.5:4222` (comma-separated for
    /// several). `nats://USER:PASSWORD@HOST`, `nats://TOKEN@HOST` and `tls://HOST` work, too.
    #[arg(long, env = "CONNECTION_COUNTER_CLUSTER", value_name = "URL", value_delimiter = ',', hide_env_values = true)]
    pub cluster: Vec<String>,

    /// Name of the cluster. Machines with different names do not count together.
    #[arg(long, env = "CONNECTION_COUNTER_CLUSTER_NAME", value_name = "NAME", default_value = "main")]
    pub cluster_name: String,

    /// Secret of all machines of the cluster, 16 characters or more. To change it, give the old and the new one, separated by
    /// a comma. A machine counts those that have the first one, and is counted by those that have any of them.
    #[arg(
        long,
        env = "CONNECTION_COUNTER_CLUSTER_SECRET",
        value_name = "SECRET",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub cluster_secret: Vec<String>,

    /// File with the CA certificates (PEM) that verify the NATS servers. The default is the system's.
    #[arg(long, env = "CONNECTION_COUNTER_CLUSTER_CA", value_name = "FILE")]
    pub cluster_ca: Option<PathBuf>,
}

/// Addresses and secrets must not be logged.
impl fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSettings").field("cluster_name", &self.cluster_name).finish_non_exhaustive()
    }
}

impl ClusterSettings {
    /// Adds the cluster to the server, if there is one.
    pub(crate) fn equip(&self, server: Server) -> Result<Server, StartupError> {
        let Some((cluster, bus)) = self.parts()? else { return Ok(server) };
        let (runs, asked, measured) = (cluster.clone(), cluster.clone(), cluster.clone());
        Ok(server
            .with_lasting(OtherMachines(Some(Arc::new(cluster))), &FLAGS)
            .beside(move |stop| bus::run(runs, bus, stop))
            .degraded_by(move || asked.trouble())
            .measures(move || measured.measures()))
    }

    /// The cluster, and how to reach the others. `None` without a cluster.
    fn parts(&self) -> Result<Option<(Cluster, Bus)>, StartupError> {
        let addresses: Vec<&str> =
            self.cluster.iter().map(|address| address.trim()).filter(|a| !a.is_empty()).collect();
        if addresses.is_empty() && (!self.cluster_secret.is_empty() || self.cluster_ca.is_some()) {
            let problem =
                "a secret or a CA file is given for a cluster, but no address; name the NATS servers, or remove both";
            return Err(StartupError::Setting { setting: "cluster", problem });
        }
        if addresses.is_empty() {
            return Ok(None);
        }
        self.validate()?;
        let servers = addresses.into_iter().map(server_address).collect::<Result<Vec<_>, _>>()?;
        let mut options = ConnectOptions::new();
        // All NATS servers of a cluster know the same users. A name without a password is a token.
        if let Some((name, password)) = servers.iter().find_map(|server| Some((server.username()?, server.password())))
        {
            options = match password {
                Some(password) => options.user_and_password(decoded(name), decoded(password)),
                None => options.token(decoded(name)),
            };
        }
        if let Some(file) = &self.cluster_ca {
            options = options.add_root_certificates(file.clone()).require_tls(true);
        }
        let servers = servers.into_iter().map(without_credentials).collect::<Result<_, _>>()?;
        let bus = Bus { servers, options, subject: format!("cc.{}.x", self.cluster_name) };
        Ok(Some((self.cluster(), bus)))
    }

    /// The cluster, with a separate part for each secret.
    fn cluster(&self) -> Cluster {
        let mut secrets: Vec<&String> = Vec::new();
        for secret in &self.cluster_secret {
            // With the same secret twice, we would count ourselves.
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        let mut parts = secrets.into_iter().map(|secret| (Seal::new(&self.cluster_name, secret), random_node()));
        let (seal, node) = parts.next().expect("`validate` wants a secret");
        Cluster::new(seal, node, parts.map(|(seal, node)| Audience::new(seal, node)).collect())
    }

    fn validate(&self) -> Result<(), StartupError> {
        let problem = |setting, problem| Err(StartupError::Setting { setting, problem });
        let is_named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let name = &self.cluster_name;
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_named) {
            return problem("cluster-name", "give 1 to 64 of the characters a-z, 0-9, - and _");
        }
        if self.cluster_secret.is_empty() {
            return problem("cluster-secret", "a cluster needs one; make it with `openssl rand -hex 32`");
        }
        if self.cluster_secret.iter().any(|secret| secret.chars().count() < MIN_SECRET_CHARS) {
            return problem("cluster-secret", "it is too short; make one with `openssl rand -hex 32`");
        }
        Ok(())
    }
}

fn random_node() -> Node {
    Node(fastrand::u64(1..1 << 48))
}

/// In addresses, some characters of names and passwords must be escaped.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The error does not repeat the address, because it may contain a password.
fn server_address(address: &str) -> Result<ServerAddr, StartupError> {
    let problem = "give addresses such as nats://10.0.0.5:4222 or tls://USER:PASSWORD@nats.example.org:4222";
    let wrong = StartupError::Setting { setting: "cluster", problem };
    match address.parse::<ServerAddr>() {
        Ok(server) if matches!(server.scheme(), "nats" | "tls") => Ok(server),
        _ => Err(wrong),
    }
}

/// The client library logs addresses, so it gets the user separately.
fn without_credentials(server: ServerAddr) -> Result<ServerAddr, StartupError> {
    let mut url = server.into_inner();
    let problem = "it has a user, and no host";
    let wrong = |()| StartupError::Setting { setting: "cluster", problem };
    url.set_username("").and_then(|()| url.set_password(None)).map_err(wrong)?;
    url.as_str().parse().map_err(|_| wrong(()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct All {
        #[command(flatten)]
        settings: ClusterSettings,
    }

    fn joins(args: &[&str]) -> Result<bool, String> {
        let All { settings } = All::parse_from([&["connection-counter"], args].concat());
        settings.parts().map(|parts| parts.is_some()).map_err(|error| error.to_string())
    }

    const SECRET: &str = "--cluster-secret=0123456789abcdef";

    #[test]
    fn a_cluster_needs_a_valid_address_secret_and_name() {
        assert_eq!(joins(&[]), Ok(false));
        assert_eq!(joins(&["--cluster=nats://a:1,tls://user:word@b", SECRET]), Ok(true));
        for (args, says) in [
            (&["--cluster=nats://a"][..], "cluster-secret"),
            (&[SECRET], "name the NATS servers"),
            (&["--cluster=", "--cluster-ca=file"], "name the NATS servers"),
            (&["--cluster=nats://a", "--cluster-secret=short"], "cluster-secret"),
            (&["--cluster=http://user:word@a", SECRET], "cluster"),
            (&["--cluster=nats://a", SECRET, "--cluster-name=a.b"], "cluster-name"),
        ] {
            let error = joins(args).unwrap_err();
            assert!(error.contains(says) && !error.contains("word"), "{args:?}: {error}");
        }
    }

    #[test]
    fn debug_output_contains_no_secrets() {
        let args = ["connection-counter", "--cluster=nats://user:word@a", SECRET];
        let shown = format!("{:?}", All::parse_from(args).settings);
        assert!(!shown.contains("word") && !shown.contains("0123"), "{shown}");
    }
}
