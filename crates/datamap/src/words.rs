//! What names suggest: of a root, of personal data, of object keys, of a country, of a category.
//! Suggestions only: each ends as a question, or as a default written in the file.

/// The words of a name, lower case: `SupportRepId` and `support_rep_id` are `support rep id`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut all: Vec<String> = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_lower) {
            all.push(String::new());
        }
        if c.is_alphanumeric() {
            all.last_mut().into_iter().for_each(|w| w.extend(c.to_lowercase()));
        }
        before_lower = c.is_lowercase();
    }
    all.retain(|w| !w.is_empty());
    all
}

/// English plurals back to the singular, roughly: enough to compare table names.
fn singular(word: &str) -> String {
    if word == "people" {
        return "person".to_owned();
    }
    match word {
        w if w.ends_with("ies") && w.len() > 4 => format!("{}y", &w[..w.len() - 3]),
        w if w.ends_with("sses") || w.ends_with("xes") || w.ends_with("ches") => w[..w.len() - 2].to_owned(),
        w if w.ends_with('s') && !w.ends_with("ss") && w.len() > 3 => w[..w.len() - 1].to_owned(),
        w => w.to_owned(),
    }
}

#[rustfmt::skip]
const ROOTS: &[&str] = &[
    "customer", "user", "account", "tenant", "member", "person", "client", "subscriber", "patient",
    "player", "student", "citizen", "owner", "organization", "organisation", "shopper", "guest",
    "login", "kunde", "kunden", "benutzer", "nutzer", "utilisateur", "cliente", "usuario", "utente",
    "klient", "gebruiker",
];

/// How much a table's name speaks for it being the root: 100 (`customers`), 40 (`app_user`), 0.
pub(crate) fn root_likeness(table: &str) -> u32 {
    let words = words(table);
    let is_root = words.last().is_some_and(|w| ROOTS.contains(&singular(w).as_str()));
    match (is_root, words.len()) {
        (true, 1) => 100,
        (true, _) => 40,
        _ => 0,
    }
}

/// Words that are personal wherever they stand in a column's name.
#[rustfmt::skip]
const PERSONAL: &[&str] = &[
    "email", "mail", "phone", "mobile", "telephone", "tel", "fax", "msisdn", "imei", "imsi", "address",
    "street", "postcode", "postal", "zip", "zipcode", "birth", "birthday", "birthdate", "dob", "ip",
    "ipaddr", "ssn", "passport", "iban", "gender", "sex", "salary", "religion", "nationality",
    "firstname", "lastname", "fullname", "surname", "username", "nickname", "realname", "password",
    "latitude", "longitude", "geo", "fingerprint", "biometric", "diagnosis", "signature", "whatsapp",
    "taxid", "socialsecurity",
    // German, French, Spanish, Portuguese, Italian, Dutch, Polish, Scandinavian
    "vorname", "nachname", "familienname", "strasse", "straße", "plz", "telefon", "handy",
    "geburtsdatum", "geburtstag", "adresse", "anschrift", "prenom", "prénom", "naissance", "courriel",
    "apellido", "apellidos", "correo", "direccion", "dirección", "telefono", "teléfono", "nacimiento",
    "dni", "cpf", "sobrenome", "endereco", "endereço", "nascimento", "telefone", "cognome", "indirizzo",
    "nascita", "voornaam", "achternaam", "geboortedatum", "imie", "imię", "nazwisko", "adres", "pesel",
    "fornavn", "etternavn", "fodselsdato", "personnummer", "epost",
];

/// `name` is personal only beside one of these: a genre has a name too.
#[rustfmt::skip]
const BEFORE_NAME: &[&str] = &[
    "first", "last", "full", "given", "family", "middle", "maiden", "sur", "nick", "user", "display",
    "contact", "person", "customer", "employee", "holder", "legal", "real", "birth", "father", "mother",
];

/// In scripts without word breaks, or where words bend: looked for anywhere in the name.
#[rustfmt::skip]
const ANYWHERE: &[&str] = &[
    "姓名", "电话", "電話", "手机", "手機", "邮箱", "郵箱", "地址", "生日", "身份证", "身分證", "氏名", "住所", "이름", "전화", "주소",
    "имя", "фамилия", "телефон", "адрес", "рождени", "почта",
];

/// The column looks as if it held something about a person.
pub(crate) fn looks_personal(column: &str) -> bool {
    let words = words(column);
    let named = words.windows(2).any(|w| w[1] == "name" && BEFORE_NAME.contains(&w[0].as_str()));
    let national =
        words.windows(2).any(|w| w[1] == "id" && ["national", "tax", "passport"].contains(&w[0].as_str()));
    named
        || national
        || words.iter().any(|w| PERSONAL.contains(&w.as_str()))
        || ANYWHERE.iter().any(|part| column.to_lowercase().contains(part))
}

/// The column's name speaks of a country by itself.
pub(crate) fn names_country(column: &str) -> bool {
    let joined = words(column).join("_");
    [
        "country",
        "country_code",
        "country_iso",
        "country_iso2",
        "country_iso_code",
        "country_name",
        "countrycode",
        "iso_country",
        "residence_country",
        "country_of_residence",
        "home_country",
        "land",
        "pays",
        "pais",
        "país",
        "paese",
        "kraj",
        "nation",
        "国家",
        "國家",
        "国",
        "страна",
        "国コード",
    ]
    .contains(&joined.as_str())
}

/// In a table of countries, the columns that say which country, best first.
pub(crate) fn country_column_rank(table: &str, column: &str) -> Option<usize> {
    if !words(table)
        .iter()
        .any(|w| ["country", "land", "pays", "pais", "nation"].contains(&singular(w).as_str()))
    {
        return None;
    }
    let joined = words(column).join("_");
    [
        "iso",
        "iso2",
        "iso_code",
        "iso_alpha2",
        "alpha2",
        "alpha_2",
        "iso_3166",
        "code",
        "iso3",
        "alpha3",
        "name",
    ]
    .iter()
    .position(|known| *known == joined)
}

/// A text column that looks like the key of an object.
pub(crate) fn looks_like_object_key(column: &str) -> bool {
    let words = words(column);
    let holds = |list: &[&str]| words.iter().any(|w| list.contains(&singular(w).as_str()));
    let last = |list: &[&str]| words.last().is_some_and(|w| list.contains(&w.as_str()));
    let thing = [
        "photo",
        "image",
        "picture",
        "avatar",
        "video",
        "media",
        "file",
        "attachment",
        "document",
        "thumbnail",
        "upload",
        "scan",
        "audio",
        "recording",
        "logo",
        "asset",
    ];
    (holds(&["object", "s3", "blob", "storage", "gcs", "bucket"])
        && last(&["key", "path", "url", "uri", "name"]))
        || (holds(&thing) && last(&["key", "path", "url", "uri", "location"]))
        || (words.len() == 1 && last(&["avatar"]))
}

/// Data category by the table's name, most telling words first.
#[rustfmt::skip]
const CATEGORIES: &[(&str, &[&str])] = &[
    ( "purchases", &[ "order", "invoice", "purchase", "payment", "cart", "basket", "receipt", "refund",
    "shipment", "billing", "subscription", "transaction", "checkout", "wishlist", "coupon", ], ),
    ("messages", &["message", "chat", "conversation", "sms", "thread", "inbox", "mail", "email", "dm"]),
    ("devices", &["device", "handset", "phone", "push", "sim", "firmware"]), ("contacts", &["contact",
    "friend", "follower", "addressbook", "relationship", "invite"]), ( "media", &[ "photo", "image",
    "picture", "video", "media", "file", "attachment", "album", "document", "upload", "avatar",
    "recording", "gallery", ], ), ("location", &["location", "gps", "trip", "checkin", "position"]),
    ("health", &["health", "diagnosis", "prescription", "visit", "treatment", "medication"]),
    ("security", &["session", "token", "password", "credential", "mfa", "passkey", "login"]),
    ("activity", &["event", "log", "activity", "audit", "history", "click", "view", "search"]), (
    "content", &["post", "comment", "review", "rating", "like", "note", "bookmark", "favorite",
    "favourite"], ), ( "profile", &[ "profile", "customer", "user", "account", "tenant", "member",
    "person", "address", "setting", "preference", "client", "consent", ], ),
];

/// The category a name suggests.
pub(crate) fn category(table: &str) -> Option<&'static str> {
    let words: Vec<String> = words(table).iter().map(|w| singular(w)).collect();
    CATEGORIES
        .iter()
        .find(|(_, known)| words.iter().any(|w| known.contains(&w.as_str())))
        .map(|(category, _)| *category)
}

/// Category of a shared table.
pub(crate) fn shared_category(table: &str) -> &'static str {
    let staff = ["employee", "staff", "agent", "rep", "operator", "worker", "seller"];
    let is_staff = words(table).iter().any(|w| staff.contains(&singular(w).as_str()));
    if is_staff { "staff" } else { "catalogue" }
}

/// Tables in which schema tools keep their own history.
pub(crate) fn tool_of(table: &str) -> Option<&'static str> {
    let tools = [
        ("schema_migrations", "schema migrations"),
        ("flyway_schema_history", "Flyway"),
        ("databasechangelog", "Liquibase"),
        ("databasechangeloglock", "Liquibase"),
        ("__diesel_schema_migrations", "Diesel"),
        ("_sqlx_migrations", "sqlx"),
        ("seaql_migrations", "SeaORM"),
        ("refinery_schema_history", "refinery"),
        ("alembic_version", "Alembic"),
        ("ar_internal_metadata", "Rails"),
        ("django_migrations", "Django"),
        ("knex_migrations", "Knex"),
        ("knex_migrations_lock", "Knex"),
        ("goose_db_version", "goose"),
        ("_prisma_migrations", "Prisma"),
        ("__efmigrationshistory", "Entity Framework"),
        ("spatial_ref_sys", "PostGIS"),
    ];
    tools.iter().find(|(name, _)| *name == table.to_lowercase()).map(|(_, tool)| *tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words("SupportRepId"), ["support", "rep", "id"]);
        assert_eq!(words("support_rep_id"), ["support", "rep", "id"]);
        assert_eq!(words("S3Key"), ["s3key"]);
        assert_eq!(words("straßeName"), ["straße", "name"]);
        assert_eq!(words("___"), Vec::<String>::new());
    }

    #[test]
    fn a_name_alone_is_not_personal_but_a_persons_is() {
        for column in
            ["first_name", "LastName", "email", "BirthDate", "postal_code", "last_ip", "Vorname", "手机号"]
        {
            assert!(looks_personal(column), "{column}");
        }
        for column in
            ["name", "title", "composer", "milliseconds", "bytes", "genre_id", "unit_price", "recipe"]
        {
            assert!(!looks_personal(column), "{column}");
        }
    }

    #[test]
    fn object_keys_and_countries() {
        for column in ["photo_key", "object_key", "s3_key", "avatar_url", "file_path", "PhotoKey"] {
            assert!(looks_like_object_key(column), "{column}");
        }
        for column in ["api_key", "profile_url", "key", "photo_count", "path"] {
            assert!(!looks_like_object_key(column), "{column}");
        }
        assert!(
            names_country("Country") && names_country("country_code") && !names_country("billing_country")
        );
        assert_eq!(country_column_rank("Countries", "iso"), Some(0));
        assert_eq!(country_column_rank("city", "code"), None);
    }

    #[test]
    fn categories_and_roots() {
        assert_eq!(category("invoice_line"), Some("purchases"));
        assert_eq!(category("CustomerAddresses"), Some("profile"));
        assert_eq!(category("zzz"), None);
        assert_eq!(root_likeness("Customers"), 100);
        assert_eq!(root_likeness("app_users"), 40);
        assert_eq!(root_likeness("employee"), 0);
    }
}
