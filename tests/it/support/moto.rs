//! A local AWS (moto): S3, Secrets Manager, and CodeDeploy's `GetDeployment`.

use std::ffi::OsString;

use aws_sdk_codedeploy as codedeploy;
use aws_sdk_s3 as s3;
use aws_sdk_secretsmanager as secretsmanager;

use super::process::{Process, free_port, new_home};

/// The region of everything.
pub const REGION: &str = "eu-central-1";

/// A running moto server; ended when dropped.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    port: u16,
}

/// Builds a service's client for a moto server: the services' configurations have no type in common.
macro_rules! client {
    ($service:ident, $moto:expr $(, $setting:ident($value:expr))*) => {
        $service::Client::from_conf(
            $service::Config::builder()
                .behavior_version($service::config::BehaviorVersion::latest())
                .region($service::config::Region::new(REGION))
                .credentials_provider($service::config::Credentials::new("test", "test", None, None, "test"))
                .endpoint_url($moto.endpoint())
                $(.$setting($value))*
                .build(),
        )
    };
}

impl Moto {
    /// Starts a server and waits until it answers.
    pub async fn start() -> Self {
        tokio::task::spawn_blocking(Self::start_blocking).await.expect("no panic")
    }

    fn start_blocking() -> Self {
        let mut failure = String::new();
        // Another process may take the free port before the server does.
        for _ in 0..3 {
            let port = free_port();
            let text = port.to_string();
            let command = ["python3", "-m", "moto.server", "--host", "127.0.0.1", "--port", &text];
            let environment = [
                ("PYTHONPATH", super::cached("python").into_os_string()),
                ("PYTHONUNBUFFERED", OsString::from("1")),
                // Signatures are not looked at, but moto's own client code wants to find something.
                ("AWS_ACCESS_KEY_ID", "test".into()),
                ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ];
            let process = Process::start(new_home("moto-"), command, environment);
            match process.wait_for("Running on") {
                Ok(()) => return Self { process, port },
                Err(log) => failure = log,
            }
        }
        panic!("moto: {failure}")
    }

    /// What `AWS_ENDPOINT_URL` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment of a program that is to use this server.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ]
    }

    pub fn s3(&self) -> s3::Client {
        client!(s3, self, force_path_style(true))
    }

    pub fn secrets_manager(&self) -> secretsmanager::Client {
        client!(secretsmanager, self)
    }

    pub fn code_deploy(&self) -> codedeploy::Client {
        client!(codedeploy, self)
    }

    pub async fn create_bucket(&self, name: &str) {
        let region = s3::types::BucketLocationConstraint::from(REGION);
        let place = s3::types::CreateBucketConfiguration::builder().location_constraint(region).build();
        self.s3()
            .create_bucket()
            .bucket(name)
            .create_bucket_configuration(place)
            .send()
            .await
            .expect("a bucket");
    }

    pub async fn create_secret(&self, name: &str, text: &str) {
        self.secrets_manager().create_secret().name(name).secret_string(text).send().await.expect("a secret");
    }

    /// Creates a deployment of this application and returns its id.
    pub async fn create_deployment(&self, application: &str) -> String {
        let client = self.code_deploy();
        client.create_application().application_name(application).send().await.expect("an application");
        let group =
            client.create_deployment_group().application_name(application).deployment_group_name("group");
        group.service_role_arn("arn:aws:iam::123456789012:role/deploy").send().await.expect("a group");
        let deployment =
            client.create_deployment().application_name(application).deployment_group_name("group");
        let created = deployment.send().await.expect("a deployment");
        created.deployment_id.expect("an id")
    }

    /// All that the server has written: one line per request.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
