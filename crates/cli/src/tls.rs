//! The one way to make a client of HTTP: its cryptography is ring's, which a C compiler can build,
//! and its roots are those of the system.

use std::sync::Once;
use std::time::Duration;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes a client for a server. One for plain HTTP needs no roots, so that it also works where the
/// system has none.
///
/// # Errors
/// The system's roots cannot be read.
pub(crate) fn client(address: &str) -> reqwest::Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Who installed one before may keep it.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let builder = reqwest::Client::builder().connect_timeout(CONNECT);
    if address.starts_with("http://") {
        builder.tls_certs_only([]).build()
    } else {
        builder.build()
    }
}
