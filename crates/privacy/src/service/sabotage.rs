//! A relay that does not do what it says, without another relay: its database takes a deletion and keeps the rows.

/// What the database does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// One-time keys stay when they are deleted.
    KeysStay,
    /// Tags stay, so the subject stays in the filters and is found.
    TagsStay,
}

impl Sabotage {
    /// SQL that begins it, run as an administrator.
    pub fn begin(self) -> &'static str {
        match self {
            Self::KeysStay => {
                "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                 CREATE TRIGGER a_stays BEFORE DELETE ON mailbox_key FOR EACH ROW EXECUTE FUNCTION stays()"
            }
            Self::TagsStay => {
                "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                 CREATE TRIGGER a_stays BEFORE DELETE ON mailbox_tag FOR EACH ROW EXECUTE FUNCTION stays()"
            }
        }
    }

    /// SQL that ends it, and deletes what stayed.
    pub fn end(self) -> String {
        let table = match self {
            Self::KeysStay => "mailbox_key",
            Self::TagsStay => "mailbox_tag",
        };
        format!(
            "DROP FUNCTION stays() CASCADE; \
             DELETE FROM {table} k USING mailbox m WHERE m.id = k.mailbox AND m.device = ''"
        )
    }
}
