//! `[[public]]` and `[edge]`: what is the same for everybody, and how much of it a gateway keeps. Declared apart from
//! the gateway, since a CDN that is already there obeys the same rules.

use super::fault::Fault;
use super::limits::span_of;
use super::meaning::country;
use super::typed::Text;
use super::{Region, nearest};
use domicile_policy::Country;
use domicile_server::edge::{EdgeSettings, PublicRoute, Query, WrongRoute};
use http::HeaderName;
use serde::Deserialize;
use toml::Spanned;

/// `[edge]` as typed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[edge]`")]
pub(super) struct TypedEdge {
    name: Option<Text>,
    memory_bytes: Option<Spanned<usize>>,
    object_bytes: Option<Spanned<usize>>,
    personal_header: Option<Text>,
}

/// `[[public]]` as typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[public]]` with path and category")]
pub(super) struct TypedPublic {
    path: Text,
    category: Text,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    residents: Vec<Text>,
    query: Option<Text>,
    any_type: Option<bool>,
    fresh: Option<Text>,
    #[serde(default)]
    headers: Vec<Text>,
    origin: Option<Text>,
}

/// Public routes and the bounds of their cache. Policy was not asked yet: every route says that it may be cached.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Bounds and routes.
    pub settings: EdgeSettings,
    /// Whose data a route may hold, by country, in the order of the routes; empty: nobody's.
    pub residents: Vec<Vec<Country>>,
}

pub(super) fn of(
    edge: &TypedEdge,
    public: &[Spanned<TypedPublic>],
    regions: &[Region],
) -> Result<Edge, Fault> {
    let mut settings = EdgeSettings::default();
    let at = edge.name.as_ref().map(|n| n.span().start).into_iter();
    let at = at
        .chain([&edge.memory_bytes, &edge.object_bytes].into_iter().flatten().map(|n| n.span().start))
        .min();
    if let Some(name) = &edge.name {
        settings.name.clone_from(name.get_ref());
    }
    settings.memory_bytes_max =
        edge.memory_bytes.as_ref().map_or(settings.memory_bytes_max, |n| *n.get_ref());
    settings.object_bytes_max =
        edge.object_bytes.as_ref().map_or(settings.object_bytes_max, |n| *n.get_ref());
    settings.fill_bytes_max = settings.fill_bytes_max.max(settings.object_bytes_max);
    if let Some(header) = &edge.personal_header {
        settings.personal_header = self::header(header)?;
    }
    settings.check().map_err(|wrong| refused(at.unwrap_or(0), &wrong))?;
    let mut residents = Vec::new();
    for one in public {
        let typed = one.get_ref();
        settings.routes.push(route(typed, regions)?);
        residents.push(typed.residents.iter().map(country).collect::<Result<_, _>>()?);
        settings.check().map_err(|wrong| refused(typed.path.span().start, &wrong))?;
    }
    Ok(Edge { settings, residents })
}

fn route(typed: &TypedPublic, regions: &[Region]) -> Result<PublicRoute, Fault> {
    Ok(PublicRoute {
        hosts: typed.hosts.iter().map(|h| h.to_ascii_lowercase()).collect(),
        query: query(&typed.query)?,
        fits: !typed.any_type.unwrap_or(false),
        fresh: typed.fresh.as_ref().map(fresh).transpose()?,
        headers: typed.headers.iter().map(header).collect::<Result<_, _>>()?,
        origin: typed.origin.as_ref().map(|o| region(o, regions)).transpose()?,
        ..PublicRoute::new(typed.path.get_ref(), typed.category.get_ref())
    })
}

fn query(typed: &Option<Text>) -> Result<Query, Fault> {
    match typed.as_ref().map(|q| q.get_ref().as_str()) {
        None | Some("kept") => Ok(Query::Kept),
        Some("ignored") => Ok(Query::Ignored),
        Some(other) => {
            let at = typed.as_ref().map_or(0, |t| t.span().start);
            let what = format!("query = \"{other}\" is neither `kept` nor `ignored`");
            let why = "kept = two queries are two answers; ignored = the query means nothing and is left out";
            Err(Fault::new(at, "config-public", what, why, "write query = \"ignored\", or leave it out"))
        }
    }
}

fn fresh(typed: &Text) -> Result<std::time::Duration, Fault> {
    span_of(typed.get_ref()).ok_or_else(|| {
        let what = format!("fresh = \"{}\" is not a length of time", typed.get_ref());
        let why = "an answer that says nothing of it is fresh for so long";
        Fault::new(typed.span().start, "config-public", what, why, "write for example fresh = \"10m\"")
    })
}

fn header(typed: &Text) -> Result<HeaderName, Fault> {
    typed.get_ref().parse().map_err(|_| {
        let what = format!("`{}` is not the name of a header", typed.get_ref());
        let why = "it is letters, digits and `-`";
        Fault::new(typed.span().start, "config-public", what, why, "write for example \"user-agent\"")
    })
}

fn region(typed: &Text, regions: &[Region]) -> Result<String, Fault> {
    let id = typed.get_ref();
    if regions.iter().any(|r| r.id() == id) {
        return Ok(id.clone());
    }
    let ids: Vec<&str> = regions.iter().map(Region::id).collect();
    let fix = nearest(id, &ids)
        .map_or(format!("one of: {}", ids.join(", ")), |id| format!("did you mean \"{id}\"?"));
    let what = format!("origin = \"{id}\", and there is no region of that name");
    Err(Fault::new(typed.span().start, "config-public", what, "it is asked for what is not cached yet", fix))
}

fn refused(at: usize, wrong: &WrongRoute) -> Fault {
    let why = "everybody gets the same answer there, so what is public must be certain";
    Fault::new(at, "config-public", wrong.to_string(), why, "docs/edge.md has examples")
}
