//! Paths that a network and an application read differently.

/// Paths by which a cache could take a private page for one below `public`, or the other way round. `private` is
/// absolute, `public` begins and ends with `/`; `name` is new each time.
pub(super) fn crooked(public: &str, private: &str, name: &str) -> Vec<String> {
    let up = "../".repeat(public.matches('/').count().saturating_sub(1));
    let encoded = |text: &str| up.replace("../", text);
    let bare = private.trim_start_matches('/');
    let inside = public.trim_start_matches('/');
    let public_encoded = inside.trim_end_matches('/').replace('/', "%2F");
    vec![
        format!("{private}/{name}.css"),
        format!("{private};{name}.css"),
        format!("{private};{public}{name}.css"),
        format!("{private}%3B{name}.css"),
        format!("{private}%2F{name}.css"),
        format!("{private}%00{name}.css"),
        format!("{private}%0A{name}.css"),
        format!("{private}%23{name}.css"),
        format!("{private}%3F{name}.css"),
        format!("{private}/..%2F{public_encoded}%2F{name}.css"),
        format!("{private}/%2e%2e/{inside}{name}.css"),
        format!("{private}/../{inside}{name}.css"),
        format!("{private}/..;/{inside}{name}.css"),
        format!("{public}{}{bare}?{name}", encoded("../")),
        format!("{public}{}{bare}?{name}", encoded("%2e%2e/")),
        format!("{public}{}{bare}?{name}", encoded("%2E%2E/")),
        format!("{public}{}{bare}?{name}", encoded("..%2f")),
        format!("{public}{}{bare}?{name}", encoded("..%2F")),
        format!("{public}{}{bare}?{name}", encoded("..%5C")),
        format!("{public}{}{bare}?{name}", encoded("..;/")),
        format!("{public}{}{bare}?{name}", encoded("%252e%252e%252f")),
        format!("{public}{}{bare}?{name}", encoded("%252E%252E/")),
        format!("{public}{name}.css/{}../{bare}", encoded("../")),
        format!("{public}./{}{bare}?{name}", encoded("../")),
        format!("{public}/{name}.css"),
        format!("{public}{name}.css."),
        format!("{public}{name}.css%20"),
    ]
}
