//! Images for the lab, made without a registry.
//!
//! Debian is made from its packages once, and our images are built on it from their container files in `deploy/`. What
//! stays the same is kept in the folder of tools, which is outside of the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use super::machine::{FOR_IMAGES, packages, quietly};
use super::node::PAUSE;
use super::tools_folder;
use crate::child::Children;
use crate::root;

/// What stands for the public base image.
const DEBIAN: &str = "localhost/debian:bookworm";

/// What is installed in it: a process 1 that reaps, certificates, and what the server with MongoDB's protocol is written
/// in. A change of this makes it anew.
const DEBIAN_PACKAGES: &str = "tini,ca-certificates,python3";

/// The image that holds our programs for the images that need them.
const PROGRAMS: &str = "localhost/crontab-programs:lab";

const PAUSE_SOURCE: &str = include_str!("pause.c");

/// Makes images; one value at a time.
pub(crate) struct Images {
    folder: PathBuf,
}

impl Images {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder =
            tools_folder().parent().context("programs are in a folder of the tools folder")?.join("images");
        fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        let images = Self { folder };
        fs::write(images.path("policy.json"), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#)
            .context("the folder of images can't be written")?;
        Ok(images)
    }

    /// What holds a pod together: one static program.
    pub(super) fn pause(&self, children: &mut Children) -> anyhow::Result<PathBuf> {
        let archive = self.path("pause-1.tar");
        if archive.exists() {
            return Ok(archive);
        }
        let (source, program) = (self.path("pause.c"), self.path("pause"));
        fs::write(&source, PAUSE_SOURCE).context("the folder of images can't be written")?;
        let mut compile = Command::new("cc");
        compile.args(["-static", "-Os", "-o"]).arg(&program).arg(&source);
        quietly(children, compile)?;
        let container = self.begin(children, "scratch")?;
        self.buildah(children, &["copy", &container, &program.to_string_lossy(), "/pause"])?;
        self.buildah(children, &["config", "--entrypoint", r#"["/pause"]"#, &container])?;
        self.finish(children, &container, PAUSE)?;
        self.save(children, PAUSE, &archive)?;
        Ok(archive)
    }

    /// All images of the chain, each a docker-archive, called `localhost/…:lab`: worker and controller with the programs
    /// in `programs`, and two that stand for public ones, etcd and mongo.
    pub(crate) fn all(&self, children: &mut Children, programs: &Path) -> anyhow::Result<Vec<PathBuf>> {
        packages(children, &FOR_IMAGES)?;
        self.debian(children)?;
        self.programs(children, programs)?;
        Ok(vec![
            self.build(children, "worker")?,
            self.build(children, "controller")?,
            self.etcd(children)?,
            self.mongo(children)?,
        ])
    }

    /// Debian, unless it is there.
    fn debian(&self, children: &mut Children) -> anyhow::Result<()> {
        let tar = self.path(&format!("debian-bookworm-{}.tar", DEBIAN_PACKAGES.replace(',', "-")));
        if !tar.exists() {
            println!("making Debian's root file system with mmdebstrap (a minute or two, once)");
            let begun = Instant::now();
            let making = self.path("making.tar");
            let mut make = Command::new("mmdebstrap");
            make.args(["--variant=minbase", "--quiet", &format!("--include={DEBIAN_PACKAGES}"), "bookworm"])
                .arg(&making);
            quietly(children, make)?;
            fs::rename(&making, &tar).context("the folder of images can't be written")?;
            println!("made it in {:.0} s", begun.elapsed().as_secs_f64());
            self.forget(children, DEBIAN);
        }
        if self.buildah(children, &["inspect", "--type", "image", DEBIAN]).is_ok() {
            return Ok(());
        }
        let container = self.begin(children, "scratch")?;
        self.buildah(children, &["add", "--quiet", &container, &tar.to_string_lossy(), "/"])?;
        self.finish(children, &container, DEBIAN)
    }

    /// An image with nothing but our programs, as `deploy/programs.Containerfile` makes it by compiling.
    fn programs(&self, children: &mut Children, programs: &Path) -> anyhow::Result<()> {
        let copies = self.path("programs");
        let _ = fs::remove_dir_all(&copies);
        fs::create_dir_all(&copies).context("the folder of images can't be written")?;
        for name in crate::chain::PROGRAMS {
            let mut strip = Command::new("strip");
            strip.arg("-o").arg(copies.join(name)).arg(programs.join(name));
            quietly(children, strip)?;
        }
        let container = self.begin(children, "scratch")?;
        self.buildah(children, &["copy", "--quiet", &container, &copies.to_string_lossy(), "/programs"])?;
        self.finish(children, &container, PROGRAMS)
    }

    /// An image from its container file in `deploy/`.
    fn build(&self, children: &mut Children, name: &str) -> anyhow::Result<PathBuf> {
        let image = format!("localhost/crontab-{name}:lab");
        let file = root().join(format!("deploy/{name}.Containerfile"));
        self.buildah(
            children,
            &[
                "build",
                "--quiet",
                "--pull-never",
                "--build-arg",
                &format!("BASE_IMAGE={DEBIAN}"),
                "--build-arg",
                &format!("PROGRAMS_IMAGE={PROGRAMS}"),
                "--tag",
                &image,
                "--file",
                &file.to_string_lossy(),
                &self.path("programs").to_string_lossy(),
            ],
        )?;
        self.saved(children, &image)
    }

    /// etcd, as its public image has it.
    fn etcd(&self, children: &mut Children) -> anyhow::Result<PathBuf> {
        let container = self.begin(children, "scratch")?;
        let program = e2e::tool("etcd");
        self.buildah(
            children,
            &["copy", "--quiet", &container, &program.to_string_lossy(), "/usr/local/bin/etcd"],
        )?;
        let image = "localhost/etcd:lab".to_owned();
        self.finish(children, &container, &image)?;
        self.saved(children, &image)
    }

    /// The server with MongoDB's protocol, on port 27017, with its data in `/data/db`. As a replica set it would tell
    /// clients to find it at the address that it listens on, which is none in a pod.
    fn mongo(&self, children: &mut Children) -> anyhow::Result<PathBuf> {
        let program =
            fs::canonicalize(e2e::tool("secantusd-py")).context("the MongoDB server can't be found")?;
        let library = program.ancestors().nth(2).context("it is in an environment's folder bin")?.join("lib");
        let python = fs::read_dir(&library)?.next().context("the environment has a Python")??.path();
        let container = self.begin(children, DEBIAN)?;
        let packages = python.join("site-packages");
        self.buildah(children, &["copy", "--quiet", &container, &packages.to_string_lossy(), "/opt/server"])?;
        let entrypoint = r#"["/usr/bin/python3", "-c", "from secantus.cli import main; main()", "--host", "0.0.0.0", "--port", "27017", "--storage-path", "/data/db", "--standalone", "--log-level", "WARNING"]"#;
        self.buildah(
            children,
            &["config", "--env", "PYTHONPATH=/opt/server", "--entrypoint", entrypoint, &container],
        )?;
        let image = "localhost/mongo:lab".to_owned();
        self.finish(children, &container, &image)?;
        self.saved(children, &image)
    }

    fn saved(&self, children: &mut Children, image: &str) -> anyhow::Result<PathBuf> {
        let archive = self.path(&format!("{}.tar", image.replace(['/', ':'], "-")));
        self.save(children, image, &archive)?;
        Ok(archive)
    }

    /// Starts a container to be filled; returns its name.
    fn begin(&self, children: &mut Children, base: &str) -> anyhow::Result<String> {
        let mut name = String::new();
        self.buildah_with(children, &["from", "--pull-never", base], |line| line.clone_into(&mut name))?;
        if name.is_empty() {
            bail!("buildah names no container");
        }
        Ok(name)
    }

    fn finish(&self, children: &mut Children, container: &str, image: &str) -> anyhow::Result<()> {
        self.forget(children, image);
        self.buildah(children, &["commit", "--quiet", "--rm", container, image])
    }

    fn save(&self, children: &mut Children, image: &str, archive: &Path) -> anyhow::Result<()> {
        // It adds to an archive that is there.
        let making = self.path("making.tar");
        let _ = fs::remove_file(&making);
        self.buildah(
            children,
            &["push", "--quiet", image, &format!("docker-archive:{}:{image}", making.display())],
        )?;
        fs::rename(&making, archive).context("the folder of images can't be written")
    }

    /// Removes an image, if it is there: a new one of its name would leave it nameless.
    fn forget(&self, children: &mut Children, image: &str) {
        let _ = self.buildah(children, &["rmi", "--force", image]);
    }

    fn buildah(&self, children: &mut Children, arguments: &[&str]) -> anyhow::Result<()> {
        quietly(children, self.command(arguments))
    }

    fn buildah_with(
        &self,
        children: &mut Children,
        arguments: &[&str],
        mut each: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        let status = children.run(self.command(arguments), |line| {
            each(line);
            false
        })?;
        if status.success() { Ok(()) } else { bail!("buildah {}: {status}", arguments.join(" ")) }
    }

    /// buildah with a storage of its own, in a way that works in a container too.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
        command.arg("--root").arg(self.path("storage")).arg("--runroot").arg(self.path("run"));
        let (first, rest) = arguments.split_first().unwrap_or((&"", &[]));
        command.arg(first);
        if matches!(*first, "from" | "build" | "commit" | "push") {
            command.arg("--signature-policy").arg(self.path("policy.json"));
        }
        command.args(rest);
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
