//! Writes the man page and the shells' completions of the `connection-counter` binary into a folder, for packages.

use std::{env, fs, io, path::PathBuf};

use clap_complete::Shell;
use connection_counter::{Counter, Page, Server, Settings};

const PROGRAM: &str = "connection-counter";

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| io::Error::other("name a folder"))?;
    fs::create_dir_all(&folder)?;
    let server = Server::builder().party::<Page>("page").party::<Counter>("counter");
    let mut command = server.command::<Settings>(PROGRAM).name(PROGRAM);
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, PROGRAM, &folder)?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).section("8").render(&mut page)?;
    fs::write(folder.join(format!("{PROGRAM}.8")), page)
}
