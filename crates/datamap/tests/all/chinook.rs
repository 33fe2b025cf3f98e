//! Chinook: the map that the README walks through.

use crate::tables::*;
use domicile_datamap::catalogue::{Catalogue, Engine, TableName};
use domicile_datamap::layout::{Owner, Personal};
use domicile_datamap::{DataMap, propose};

/// Chinook as `chinook_postgresql.sql` makes it.
pub fn chinook() -> Catalogue {
    postgres([
        table("album", "album_id integer*, title character varying(160)!, artist_id integer!")
            .fk("artist_id -> artist(artist_id)"),
        table("artist", "artist_id integer*, name character varying(120)"),
        table(
            "customer",
            "customer_id integer*, first_name character varying(40)!, last_name character varying(20)!, \
             company character varying(80), address character varying(70), city character varying(40), \
             state character varying(40), country character varying(40), postal_code character varying(10), \
             phone character varying(24), fax character varying(24), email character varying(60)!, \
             support_rep_id integer",
        )
        .fk("support_rep_id -> employee(employee_id)"),
        table(
            "employee",
            "employee_id integer*, last_name character varying(20)!, first_name character varying(20)!, \
             title character varying(30), reports_to integer, birth_date timestamp without time zone, \
             hire_date timestamp without time zone, address character varying(70), city character varying(40), \
             state character varying(40), country character varying(40), postal_code character varying(10), \
             phone character varying(24), fax character varying(24), email character varying(60)",
        )
        .fk("reports_to -> employee(employee_id)"),
        table("genre", "genre_id integer*, name character varying(120)"),
        table(
            "invoice",
            "invoice_id integer*, customer_id integer!, invoice_date timestamp without time zone!, \
             billing_address character varying(70), billing_city character varying(40), \
             billing_state character varying(40), billing_country character varying(40), \
             billing_postal_code character varying(10), total numeric(10,2)!",
        )
        .fk("customer_id -> customer(customer_id)"),
        table(
            "invoice_line",
            "invoice_line_id integer*, invoice_id integer!, track_id integer!, unit_price numeric(10,2)!, \
             quantity integer!",
        )
        .fk("invoice_id -> invoice(invoice_id)")
        .fk("track_id -> track(track_id)"),
        table("media_type", "media_type_id integer*, name character varying(120)"),
        table("playlist", "playlist_id integer*, name character varying(120)"),
        table("playlist_track", "playlist_id integer*, track_id integer*")
            .fk("playlist_id -> playlist(playlist_id)")
            .fk("track_id -> track(track_id)"),
        table(
            "track",
            "track_id integer*, name character varying(200)!, album_id integer, media_type_id integer!, \
             genre_id integer, composer character varying(220), milliseconds integer!, bytes integer, \
             unit_price numeric(10,2)!",
        )
        .fk("album_id -> album(album_id)")
        .fk("genre_id -> genre(genre_id)")
        .fk("media_type_id -> media_type(media_type_id)"),
    ])
}

/// Chinook with its two questions answered as in the walk-through.
pub fn answered() -> DataMap {
    let mut map = proposed(&chinook());
    assert!(map.answer("personal:public.employee", "stub"));
    map
}

#[test]
fn init_writes_a_file_a_newcomer_can_read() {
    let map = propose(&chinook(), None);
    insta::assert_snapshot!(map.write());
    assert_eq!(DataMap::read(&map.write()).as_ref(), Ok(&map));
}

#[test]
fn only_two_questions_are_asked() {
    assert_eq!(asked(&propose(&chinook(), None)), ["personal:public.employee", "stores"]);
}

#[test]
fn unanswered_questions_are_refused_with_their_words() {
    let problems = domicile_datamap::check(&propose(&chinook(), None), &chinook()).unwrap_err();
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(words.join("\n\n"));
}

#[test]
fn the_answered_map_resolves() {
    let layout = resolved(&answered(), &chinook());
    let mapped: Vec<String> = layout.tables.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(mapped, ["public.customer", "public.invoice", "public.invoice_line"]);
    assert_eq!(layout.tables[0].owner, Owner::Root { column: "customer_id".into() });
    assert_eq!(layout.tables[1].owner, Owner::Direct { column: "customer_id".into() });
    let link = vec![("invoice_id".to_owned(), "invoice_id".to_owned())];
    assert_eq!(layout.tables[2].owner, Owner::Derived { parent: 1, link, deferrable: false });
    assert_eq!(layout.tables[1].children, [2]);
    assert_eq!((layout.country.hops.len(), layout.country.column.as_str()), (0, "country"));
    let shared: Vec<&str> = layout.references.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(
        shared,
        ["artist", "album", "employee", "genre", "media_type", "playlist", "track", "playlist_track"]
    );
    let stubs: Vec<&str> = layout
        .references
        .iter()
        .filter(|t| t.personal == Personal::Stub)
        .map(|t| t.name.name.as_str())
        .collect();
    assert_eq!(stubs, ["employee"]);
    assert_eq!(layout.categories(), ["profile", "purchases"]);
    assert_eq!(layout.hash.len(), 64);
}

#[test]
fn the_same_on_sqlite_with_its_own_names() {
    let mut catalogue = chinook();
    catalogue.engine = Engine::Sqlite;
    let camel = |text: &str| -> String {
        text.split('_').map(|w| format!("{}{}", w[..1].to_uppercase(), &w[1..])).collect()
    };
    for table in &mut catalogue.tables {
        table.name = TableName::new("main", camel(&table.name.name));
        table.columns.iter_mut().for_each(|c| {
            c.name = camel(&c.name);
            c.type_name = c.type_name.replace("character varying", "NVARCHAR").replace("integer", "INTEGER");
        });
        table.primary_key.iter_mut().for_each(|c| *c = camel(c));
        for (i, key) in table.foreign_keys.iter_mut().enumerate() {
            key.name = format!("fk_{i}");
            key.references = TableName::new("main", camel(&key.references.name));
            key.columns.iter_mut().chain(&mut key.referenced).for_each(|c| *c = camel(c));
        }
    }
    let mut map = proposed(&catalogue);
    assert_eq!(asked(&map), ["personal:main.Employee"]);
    map.answer("personal:main.Employee", "stub");
    let layout = resolved(&map, &catalogue);
    let mapped: Vec<String> = layout.tables.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(mapped, ["main.Customer", "main.Invoice", "main.InvoiceLine"]);
    assert_eq!(layout.country.column, "Country");
}

#[test]
fn excluding_the_employees_says_what_to_do_with_the_column_that_refers_to_them() {
    let mut map = proposed(&chinook());
    map.answer("personal:public.employee", "exclude");
    let problems = domicile_datamap::check(&map, &chinook()).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, "map-refers-to-excluded");
    assert!(
        problems[0].fix.contains("under [subject] write other = { support_rep_id"),
        "{}",
        problems[0].fix
    );
    let text = map
        .write()
        .replace("country = \"country\"\n", "country = \"country\"\nother = { support_rep_id = \"null\" }\n");
    let layout = resolved(&DataMap::read(&text).unwrap(), &chinook());
    assert_eq!(layout.tables[0].blanked, ["support_rep_id"]);
    assert!(layout.excluded.iter().any(|(t, _)| t.name == "employee"));
}

#[test]
fn the_hash_is_of_the_meaning() {
    let layout = resolved(&answered(), &chinook());
    let text = answered().write().replace("# ", "## ").replace(" = ", "   =  ");
    assert_eq!(resolved(&DataMap::read(&text).unwrap(), &chinook()).hash, layout.hash);
    let mut turned = chinook();
    turned.tables.reverse();
    assert_eq!(resolved(&answered(), &turned).hash, layout.hash);
    for (from, to) in [("\"purchases\"", "\"sales\""), ("answer = \"stub\"", "answer = \"copy\"")] {
        let changed = DataMap::read(&answered().write().replace(from, to)).unwrap();
        assert_ne!(resolved(&changed, &chinook()).hash, layout.hash, "{to}");
    }
    // Answered by hand instead of by the question: the same meaning.
    let mut by_hand = answered();
    by_hand.questions.retain(|q| q.ask.to_string() == "stores");
    let employee = by_hand.tables.get_mut(&name("employee")).unwrap();
    employee.kind = domicile_datamap::map::Kind::Reference {
        personal: Some(domicile_datamap::map::PersonalAnswer::Stub),
    };
    assert_eq!(resolved(&by_hand, &chinook()).hash, layout.hash);
}

#[test]
fn an_answer_is_written_without_touching_the_users_comments() {
    let text = propose(&chinook(), None).write().replace("id = \"stores\"", "# mine\nid = \"stores\"");
    let after = domicile_datamap::write::answer_in(&text, "stores", "none").unwrap();
    assert_eq!(after, text.replacen_last("answer = \"\"", "answer = \"none\""));
    assert!(domicile_datamap::write::answer_in(&text, "owner:public.x", "y").is_err());
}

/// Replaces the last occurrence.
trait ReplaceLast {
    fn replacen_last(&self, from: &str, to: &str) -> String;
}

impl ReplaceLast for String {
    fn replacen_last(&self, from: &str, to: &str) -> String {
        let at = self.rfind(from).unwrap();
        format!("{}{to}{}", &self[..at], &self[at + from.len()..])
    }
}
