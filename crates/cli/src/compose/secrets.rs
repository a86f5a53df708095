//! The sources of secrets that the configuration names, in the order in which they are asked: the
//! environment, the folder, the program.

use std::path::Path;

use jobwright_adapters::{ChainSecrets, CommandError, CommandSecrets, EnvSecrets, FileSecrets};

use crate::config::Secrets;

/// Puts the sources together.
///
/// # Errors
/// The program cannot be asked; the configuration has been checked for that.
pub(super) fn build(config: &Secrets, data: &Path) -> Result<ChainSecrets, CommandError> {
    let mut environment = EnvSecrets::new(&config.env_prefix);
    if let Some(only) = &config.env_only {
        environment = environment.only(only);
    }
    let mut all = ChainSecrets::new().then(environment);
    if let Some(folder) = &config.folder {
        all = all.then(FileSecrets::new(data.join(folder)));
    }
    if let Some(command) = &config.command {
        let asked = CommandSecrets::new(command.clone())?.time_limit(config.command_time.0);
        let inherited = config.command_inherit.iter();
        all = all.then(inherited.fold(asked, |asked, variable| asked.inherit(variable)));
    }
    Ok(all)
}
