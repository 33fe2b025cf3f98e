//! Part of every fuzz target: writes what it begins with into the folder that `cargo xtask fuzz` names.

/// A file for each seed, in `$DOMICILE_FUZZ_SEEDS`; nothing where that is not set.
pub fn write(seeds: Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os("DOMICILE_FUZZ_SEEDS") else { return };
    for (n, seed) in seeds.iter().enumerate() {
        let file = std::path::Path::new(&folder).join(format!("seed-{n:03}"));
        std::fs::write(file, seed).expect("the folder for seeds can be written");
    }
}
