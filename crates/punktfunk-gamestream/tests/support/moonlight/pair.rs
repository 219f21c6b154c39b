//! The client's end of pairing.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{Moonlight, Reply, hex, random, signature_of, unhex};

/// An exchange under way, for tests that break it.
pub struct Pairing {
    pub client: Moonlight,
    cipher: Aes128,
    server: CertificateDer<'static>,
    challenge: [u8; 16],
    secret: [u8; 16],
    /// What phase 2 told: the host's hash and challenge.
    told: Vec<u8>,
}

fn path(parameter: &str, value: &str) -> String {
    format!("/pair?uniqueid=0123456789ABCDEF&devicename=roth&updateState=1&{parameter}={value}")
}

impl Pairing {
    /// Phase 1: waits for the operator.
    pub fn begin(client: &Moonlight, pin: &str) -> Result<Self, Reply> {
        let salt = random::<16>();
        let certificate = hex(client.identity.pem.as_bytes());
        let reply =
            client.http(&path("phrase", &format!("getservercert&salt={}&clientcert={certificate}", hex(&salt))));
        if reply.get("paired").as_deref() != Some("1") {
            return Err(reply);
        }
        let server = CertificateDer::from_pem_slice(&unhex(&reply.get("plaincert").unwrap())).unwrap();
        let key = digest(&SHA256, &[&salt[..], pin.as_bytes()].concat());
        let cipher = Aes128::new(&Array(*key.as_ref().first_chunk::<16>().unwrap()));
        Ok(Self { client: client.clone(), cipher, server, challenge: random(), secret: random(), told: Vec::new() })
    }

    /// Phase 2.
    pub fn challenge(&mut self) -> Reply {
        let reply = self.client.http(&path("clientchallenge", &hex(&self.seal(&self.challenge))));
        if let Some(told) = reply.get("challengeresponse") {
            self.told = self.open(&unhex(&told));
        }
        reply
    }

    /// Phase 3.
    pub fn response(&self) -> Reply {
        let told = [&self.told[32..48], &self.client.identity.signature, &self.secret].concat();
        self.client.http(&path("serverchallengeresp", &hex(&self.seal(digest(&SHA256, &told).as_ref()))))
    }

    /// Whether the host had the same PIN and has its certificate's key: what phase 3 told, held against phase 2.
    pub fn host_is_right(&self, reply: &Reply) -> bool {
        let told = unhex(&reply.get("pairingsecret").unwrap());
        let (secret, signature) = told.split_at(16);
        let expected = digest(&SHA256, &[&self.challenge[..], &signature_of(&self.server), secret].concat());
        let read = {
            use x509_parser::prelude::FromDer;
            let (_, read) = x509_parser::certificate::X509Certificate::from_der(&self.server).unwrap();
            read.public_key().subject_public_key.data.to_vec()
        };
        let signed = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &read).verify(secret, signature).is_ok();
        signed && expected.as_ref() == &self.told[..32]
    }

    /// Phase 4.
    pub fn secret(&self) -> Reply {
        let signer = &self.client.identity.signer;
        let mut signature = vec![0; signer.public().modulus_len()];
        signer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &self.secret, &mut signature).unwrap();
        self.client.http(&path("clientpairingsecret", &hex(&[&self.secret[..], &signature].concat())))
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        for block in bytes.as_chunks_mut::<16>().0 {
            self.cipher.encrypt_block((&mut *block).into());
        }
        bytes
    }

    fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let mut bytes = sealed.to_vec();
        for block in bytes.as_chunks_mut::<16>().0 {
            self.cipher.decrypt_block((&mut *block).into());
        }
        bytes
    }
}

impl Moonlight {
    /// All five phases. `false`: the PIN was wrong, or the host refused.
    pub fn pair(&mut self, pin: &str) -> bool {
        let Ok(mut pairing) = Pairing::begin(self, pin) else { return false };
        if pairing.challenge().get("paired").as_deref() != Some("1") {
            return false;
        }
        let reply = pairing.response();
        if reply.get("paired").as_deref() != Some("1") || !pairing.host_is_right(&reply) {
            return false;
        }
        if pairing.secret().get("paired").as_deref() != Some("1") {
            return false;
        }
        self.pinned = Some(pairing.server);
        self.https(&path("phrase", "pairchallenge")).get("paired").as_deref() == Some("1")
    }
}
