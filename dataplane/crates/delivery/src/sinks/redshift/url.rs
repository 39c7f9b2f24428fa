//! Addresses of databases, as JDBC's drivers know them.

const REDSHIFT: &str = "jdbc:redshift://";
const REDSHIFT_PORT: u16 = 5439;
const POSTGRESQL: &str = "jdbc:postgresql://";
const POSTGRESQL_PORT: u16 = 5432;

/// Where a database is: `jdbc:redshift://HOST:PORT/DATABASE`, and what follows after `?` or `;`.
///
/// Of what follows only `ssl` and `sslmode` mean something here, and only whether there is TLS at all:
/// how certificates are checked is said by `tls` of the resource, and credentials are in Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JdbcUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) is_plain: bool,
}

/// Not the address of a database.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another kind of database, or of address.
    #[error("does not begin with {REDSHIFT} or {POSTGRESQL}")]
    Scheme,
    /// No host that a name or an address could be.
    #[error("{0:?} is no host; write a name, an IPv4 address, or an IPv6 address in brackets")]
    Host(String),
    /// No number, or one that no port has.
    #[error("{0:?} is no port")]
    Port(String),
    /// No database.
    #[error("names no database; write HOST:PORT/DATABASE")]
    Database,
    /// Something that is not known about TLS.
    #[error("{name}={value} is not known; write ssl=true or ssl=false")]
    Ssl {
        /// `ssl` or `sslmode`.
        name: &'static str,
        /// What it is.
        value: String,
    },
    /// There is TLS, and there is none.
    #[error("says that there is no TLS, and tls says how certificates are checked; remove one")]
    PlainWithTls,
}

impl JdbcUrl {
    pub(crate) fn parse(text: &str) -> Result<JdbcUrl, UrlError> {
        let (rest, port) = match (text.strip_prefix(REDSHIFT), text.strip_prefix(POSTGRESQL)) {
            (Some(rest), _) => (rest, REDSHIFT_PORT),
            (_, Some(rest)) => (rest, POSTGRESQL_PORT),
            (None, None) => return Err(UrlError::Scheme),
        };
        let end = rest.find(['?', ';']).unwrap_or(rest.len());
        let (address, parameters) = rest.split_at(end);
        let (host, database) = address.split_once('/').ok_or(UrlError::Database)?;
        let (host, port) = host_and_port(host, port)?;
        if database.is_empty() || database.contains(|char: char| char == '/' || char.is_control()) {
            return Err(UrlError::Database);
        }
        let is_plain = is_plain(parameters)?;
        Ok(JdbcUrl { host, port, database: database.to_owned(), is_plain })
    }
}

fn host_and_port(text: &str, port: u16) -> Result<(String, u16), UrlError> {
    let bad_host = || UrlError::Host(text.to_owned());
    let (host, after) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(bad_host)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let is_good = match text.starts_with('[') {
        true => host.parse::<std::net::Ipv6Addr>().is_ok(),
        false => !host.is_empty() && host.chars().all(is_host),
    };
    if !is_good {
        return Err(bad_host());
    }
    let port = match after.strip_prefix(':') {
        Some(digits) => digits.parse().ok().filter(|port| *port != 0),
        None if after.is_empty() => Some(port),
        None => None,
    };
    Ok((host.to_owned(), port.ok_or_else(|| UrlError::Port(after.to_owned()))?))
}

/// The last word counts.
fn is_plain(parameters: &str) -> Result<bool, UrlError> {
    let mut is_plain = false;
    for parameter in parameters.split(['?', ';', '&']) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.to_ascii_lowercase();
        is_plain = match (name.to_ascii_lowercase().as_str(), value.as_str()) {
            ("ssl", "" | "true") => false,
            ("ssl", "false") => true,
            ("ssl", _) => return Err(UrlError::Ssl { name: "ssl", value }),
            // What trusts less than that of the resource is not followed.
            ("sslmode", "allow" | "prefer" | "require" | "verify-ca" | "verify-full") => false,
            ("sslmode", "disable") => true,
            ("sslmode", _) => return Err(UrlError::Ssl { name: "sslmode", value }),
            _ => is_plain,
        };
    }
    Ok(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_a_host_a_port_and_a_name() {
        for (text, host, port, database, is_plain) in [
            ("jdbc:redshift://h:1234/dev", "h", 1234, "dev", false),
            ("jdbc:redshift://a-b.c_d.example/x.y", "a-b.c_d.example", 5439, "x.y", false),
            ("jdbc:postgresql://10.0.0.1/dev", "10.0.0.1", 5432, "dev", false),
            ("jdbc:redshift://[::1]:1/dev", "::1", 1, "dev", false),
            ("jdbc:redshift://[::1]/dev", "::1", 5439, "dev", false),
            ("jdbc:redshift://h/dev?ssl=false", "h", 5439, "dev", true),
            ("jdbc:redshift://h/dev;UID=u;PWD=p;SSL=False", "h", 5439, "dev", true),
            ("jdbc:redshift://h/dev?x=y&sslmode=disable", "h", 5439, "dev", true),
            ("jdbc:redshift://h/dev?sslMode=verify-ca&ssl", "h", 5439, "dev", false),
            ("jdbc:redshift://h/dev?sslmode=prefer", "h", 5439, "dev", false),
            ("jdbc:redshift://h/dev?ssl=false&ssl=true", "h", 5439, "dev", false),
        ] {
            let (host, database) = (host.to_owned(), database.to_owned());
            assert_eq!(JdbcUrl::parse(text), Ok(JdbcUrl { host, port, database, is_plain }));
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        for (text, want) in [
            ("redshift://h/dev", "does not begin with"),
            ("jdbc:redshift:iam://h/dev", "does not begin with"),
            ("jdbc:redshift://h", "names no database"),
            ("jdbc:redshift://h/", "names no database"),
            ("jdbc:redshift://h/?ssl=true", "names no database"),
            ("jdbc:redshift://h/a/b", "names no database"),
            ("jdbc:redshift://h/a\nb", "names no database"),
            ("jdbc:redshift:///dev", "is no host"),
            ("jdbc:redshift://:1/dev", "is no host"),
            ("jdbc:redshift://u@h/dev", "is no host"),
            ("jdbc:redshift://%2ftmp/dev", "is no host"),
            ("jdbc:redshift://[::1/dev", "is no host"),
            ("jdbc:redshift://[h]/dev", "is no host"),
            ("jdbc:redshift://h:/dev", "is no port"),
            ("jdbc:redshift://h:0/dev", "is no port"),
            ("jdbc:redshift://h:65536/dev", "is no port"),
            ("jdbc:redshift://[::1]1/dev", "is no port"),
            ("jdbc:redshift://h/dev?ssl=no", "ssl=no is not known"),
            ("jdbc:redshift://h/dev?sslmode", "sslmode= is not known"),
        ] {
            let error = JdbcUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
