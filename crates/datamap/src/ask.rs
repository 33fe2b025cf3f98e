//! A question's id: what it asks and about what, as one word that can be pasted into a command.

use crate::catalogue::TableName;
use crate::map::Ask;
use std::fmt;
use std::str::FromStr;

impl Ask {
    /// The table it is about, if it is about one.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Self::Root | Self::Country | Self::Stores => None,
            Self::Owner(t) | Self::Other(t) | Self::Ownerless(t) | Self::Reach(t) => Some(t),
            Self::Personal(t) | Self::Storage(t) | Self::Key(t) => Some(t),
            Self::Trigger(t, _) | Self::Object(t, _) => Some(t),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => write!(f, "root"),
            Self::Country => write!(f, "country"),
            Self::Stores => write!(f, "stores"),
            Self::Owner(t) => write!(f, "owner:{t}"),
            Self::Other(t) => write!(f, "other:{t}"),
            Self::Ownerless(t) => write!(f, "ownerless:{t}"),
            Self::Reach(t) => write!(f, "reach:{t}"),
            Self::Personal(t) => write!(f, "personal:{t}"),
            Self::Storage(t) => write!(f, "storage:{t}"),
            Self::Key(t) => write!(f, "key:{t}"),
            Self::Trigger(t, item) => write!(f, "trigger:{}", t.with(item)),
            Self::Object(t, item) => write!(f, "object:{}", t.with(item)),
        }
    }
}

impl FromStr for Ask {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        let Some((kind, about)) = id.split_once(':') else {
            return match id {
                "root" => Ok(Self::Root),
                "country" => Ok(Self::Country),
                "stores" => Ok(Self::Stores),
                _ => Err(format!("`{id}` is not a question Domicile asks")),
            };
        };
        let table = || TableName::parse(about);
        let item = || TableName::parse_with(about);
        match kind {
            "owner" => table().map(Self::Owner),
            "other" => table().map(Self::Other),
            "ownerless" => table().map(Self::Ownerless),
            "reach" => table().map(Self::Reach),
            "personal" => table().map(Self::Personal),
            "storage" => table().map(Self::Storage),
            "key" => table().map(Self::Key),
            "trigger" => item().map(|(t, i)| Self::Trigger(t, i)),
            "object" => item().map(|(t, i)| Self::Object(t, i)),
            _ => Err(format!("`{id}` is not a question Domicile asks")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back() {
        let table = TableName::new("a.b", "My \"Table\"");
        for ask in [
            Ask::Root,
            Ask::Country,
            Ask::Stores,
            Ask::Owner(table.clone()),
            Ask::Other(table.clone()),
            Ask::Ownerless(table.clone()),
            Ask::Reach(table.clone()),
            Ask::Personal(table.clone()),
            Ask::Storage(table.clone()),
            Ask::Key(table.clone()),
            Ask::Trigger(table.clone(), "on:change".into()),
            Ask::Object(table, "photo.key".into()),
        ] {
            assert_eq!(ask.to_string().parse(), Ok(ask));
        }
        assert!("colour:public.t".parse::<Ask>().is_err());
    }
}
