//! What a line of the operator's log says of its rights.

/// Whether the line tells that the API server forbade a request. In a namespace that is being deleted nothing may be
/// made, whatever one's rights are: that is not meant.
pub(crate) fn is_told_by(line: &str) -> bool {
    let told = [r#"reason: "Forbidden""#, r#""reason":"Forbidden""#, "code: 403", r#""code":403"#];
    told.iter().any(|sign| line.contains(sign)) && !line.contains("is being terminated")
}

#[test]
fn is_found_where_the_api_server_said_so_and_nowhere_else() {
    // As the operator logs what its client returns.
    let refusal = kube::core::Status {
        message: r#"pods is forbidden: User "x" cannot list resource "pods""#.into(),
        reason: "Forbidden".into(),
        code: 403,
        ..kube::core::Status::default()
    };
    let line = |status: kube::core::Status| format!("a pass failed error={}", kube::Error::Api(Box::new(status)));
    assert!(is_told_by(&line(refusal.clone())), "{}", line(refusal));
    let terminating = kube::core::Status {
        message: "unable to create new content in namespace mail because it is being terminated".into(),
        reason: "Forbidden".into(),
        code: 403,
        ..kube::core::Status::default()
    };
    assert!(!is_told_by(&line(terminating)));
    assert!(!is_told_by("created deployment=mail-17b4/example-17940312 took=403ms"));
}
