//! The demo's folder: what lies where, and what is written into it before the first row.

use super::case::{Case, ServiceName};
use crate::failure::{self, Failure, Result};
use crate::keys;
use std::fs;
use std::path::{Path, PathBuf};

/// Says that a folder is ours, so that a new demo may replace it.
const MARK: &str = "made-by-domicile-demo.txt";
const MARK_TEXT: &str = "`domicile demo` made this folder and replaces it when it runs again.\n";

const RTT: &str = include_str!("rtt.csv");

/// Paths in the demo's folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder; an old one of ours is removed first.
    ///
    /// # Errors
    /// It is there and not ours; it can't be written.
    pub fn make(path: &Path) -> Result<Self> {
        let said = |doing: &'static str| move |e: std::io::Error| failure::of_file(doing, path, &e);
        if path.exists() {
            let empty = fs::read_dir(path).map_err(said("read the folder"))?.next().is_none();
            if !empty && !path.join(MARK).is_file() {
                return Err(Failure::usage(
                    "demo-folder",
                    format!("{} is there already, and no demo made it", path.display()),
                    "the demo replaces only a folder of its own",
                    "domicile demo --dir ANOTHER",
                ));
            }
            fs::remove_dir_all(path).map_err(said("remove the old folder"))?;
        }
        fs::create_dir_all(path).map_err(said("make the folder"))?;
        fs::write(path.join(MARK), MARK_TEXT).map_err(said("write into the folder"))?;
        let whole = path.canonicalize().map_err(said("find the folder"))?;
        // As typed where that is short: it stands in the commands at the end.
        Ok(Self(if path.is_absolute() { whole } else { path.to_owned() }))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn config(&self) -> PathBuf {
        self.0.join(crate::config::FILE)
    }

    /// A region's folder: all its databases and objects.
    pub fn region(&self, region: &str) -> PathBuf {
        self.0.join(region)
    }

    pub fn database(&self, region: &str, service: ServiceName) -> PathBuf {
        self.region(region).join(format!("{}.db", service.as_str()))
    }

    /// An object of the cloud, the only service that has any.
    pub fn object(&self, region: &str, key: &str) -> PathBuf {
        self.region(region).join("objects").join(ServiceName::Cloud.as_str()).join(key)
    }

    pub fn plan(&self, number: usize) -> PathBuf {
        self.0.join(format!("plan-{number}.json"))
    }

    /// Each acknowledged write, a line each.
    pub fn log(&self) -> PathBuf {
        self.0.join("acknowledged.csv")
    }

    /// Writes configuration, data maps, policies, the latency table and keys; makes the regions' folders.
    pub fn furnish(&self, case: &Case) -> Result<()> {
        self.write("rtt.csv", RTT)?;
        self.write(&format!("policies/{}", case.policy.0), case.policy.1)?;
        for service in case.services {
            self.write(&format!("{}.toml", service.name.as_str()), service.name.map())?;
        }
        self.write(crate::config::FILE, &config(case))?;
        for region in case.regions {
            let path = self.object(region.id, "");
            fs::create_dir_all(&path).map_err(|e| failure::of_file("make the folder", &path, &e))?;
        }
        let ids: Vec<&str> = case.regions.iter().map(|r| r.id).collect();
        keys::make(&self.0.join("keys"), &ids).map(|_| ())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        written.map_err(|e| failure::of_file("write", &path, &e))
    }
}

/// `domicile.toml`.
fn config(case: &Case) -> String {
    let mut text = format!(
        "# Written by `domicile demo --case {}`. Everything lies in this folder.\n\n[control]\nstore = \"sqlite:control.db\"\n",
        case.name
    );
    for region in case.regions {
        text.push_str(&format!(
            "\n[[region]]\nid = \"{0}\"\ncountry = \"{1}\"\noperator = \"{2}\"   # whose law controls who runs it\n",
            region.id, region.country, region.operator
        ));
        if let Some(opens) = region.opens {
            text.push_str(&format!("opens = {opens}\n"));
        }
        text.push_str(&format!(
            "site = \"{1}\"\nrecords = \"sqlite:{0}/{{service}}.db\"\nobjects = \"file:{0}/objects/{{service}}\"\n",
            region.id, region.site
        ));
    }
    for service in case.services {
        let regions: Vec<String> = service.regions.iter().map(|r| format!("\"{r}\"")).collect();
        text.push_str(&format!(
            "\n[[service]]\nname = \"{0}\"\nmap = \"{0}.toml\"\npolicies = [\"policies/*.cedar\"]\nlatency = \"rtt.csv\"\nregions = [{1}]\n",
            service.name.as_str(),
            regions.join(", ")
        ));
    }
    text.push_str(
        "\n[limits]\n# Seconds, for the demo: routes are cached for one second, so two are enough. The default is a day.\ngrace = \"2s\"\n\
         # A worker renews its turn four times in this time. One that was killed can't, so `resume` waits that long;\n\
         # the default is 6000.\nturn_ms = 2000\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::case::{MIRROR, REFERENCE};
    use super::*;
    use crate::config::Config;

    #[test]
    fn both_configurations_mean_something() {
        for case in [&REFERENCE, &MIRROR] {
            let config = Config::parse(&config(case), Path::new("domicile.toml")).unwrap();
            assert_eq!(config.regions.len(), case.regions.len());
            assert_eq!(config.services.len(), case.services.len());
            assert_eq!(config.limits.grace.as_secs(), 2);
            assert_eq!(config.limits.turn.as_secs(), 2);
        }
    }

    #[test]
    fn only_a_folder_of_its_own_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo");
        let folder = Folder::make(&path).unwrap();
        fs::write(folder.log(), "x").unwrap();
        assert!(!Folder::make(&path).unwrap().log().exists());
        fs::remove_file(path.join(MARK)).unwrap();
        fs::write(path.join("thesis.txt"), "x").unwrap();
        assert_eq!(Folder::make(&path).unwrap_err().code, "demo-folder");
        assert!(path.join("thesis.txt").exists());
    }
}
