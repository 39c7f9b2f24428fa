//! Objects in an S3 server.

use e2e::destinations::Server;

#[test]
fn try_it() {
    let directory = tempfile::tempdir().unwrap();
    let s = Server::s3(directory.path()).unwrap();
    println!("{}", s.endpoint());
    for _ in 0..60 { 
        let out = std::process::Command::new(e2e::destinations::python_bin("python")).arg("-c").arg("import boto3,sys; c=boto3.client('s3',endpoint_url=sys.argv[1],aws_access_key_id='leatkey',aws_secret_access_key='leatsecret',region_name='us-east-1'); c.create_bucket(Bucket='b'); c.put_object(Bucket='b',Key='x',Body=b'1'); print(c.list_objects_v2(Bucket='b')['KeyCount'])").arg(s.endpoint()).output().unwrap();
        println!("{}", String::from_utf8_lossy(&out.stdout));
        if out.status.success() { return }
        println!("{}", String::from_utf8_lossy(&out.stderr).lines().last().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
