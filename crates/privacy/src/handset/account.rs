//! The phone's account program: it signs in where the service says that the home region's accounts are, with a user name and a
//! password. It needs to know nothing else of the phone.

use super::http::post;

/// Signs in.
///
/// # Errors
/// In words: the endpoint did not open a session.
pub fn sign_in(region: &str) -> Result<(), String> {
    let host = format!("account.{region}.example");
    let body = br#"{"name":"asha.k","password":"correct horse battery staple"}"#;
    match post(&host, "/v1/sessions", &[("Content-Type", "application/json")], body) {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("{host} answered {status}")),
        Err(e) => Err(format!("{host}: {e}")),
    }
}
