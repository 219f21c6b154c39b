// A Moonlight client as far as pairing goes, with the platform's own cryptography: what it shows is typed into the console.
import { execFileSync } from 'node:child_process';
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSign,
  randomBytes,
  X509Certificate,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { get as getPlain, type IncomingMessage } from 'node:http';
import { get as getSecure } from 'node:https';
import { join } from 'node:path';

const sha256 = (...parts: Uint8Array[]) =>
  createHash('sha256').update(Buffer.concat(parts)).digest();

/** The signature of an RSA-2048 certificate: its last 256 bytes (RFC 5280, section 4.1). */
const signatureOf = (pem: string) => new X509Certificate(pem).raw.subarray(-256);

async function read(answer: IncomingMessage): Promise<Map<string, string>> {
  let text = '';
  for await (const part of answer) text += String(part);
  return new Map(
    [...text.matchAll(/<(\w+)>([^<]*)<\/\1>/g)].map(([, key, value]) => [key ?? '', value ?? '']),
  );
}

export class Moonlight {
  private readonly key: string;
  private readonly certificate: string;

  /** Makes the client's certificate in a directory of its own. */
  constructor(
    private readonly port: number,
    directory: string,
  ) {
    const [key, certificate] = [join(directory, 'client.key'), join(directory, 'client.pem')];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-sha256',
        '-days',
        '30',
        '-subj',
        '/CN=NVIDIA GameStream Client',
        '-keyout',
        key,
        '-out',
        certificate,
      ],
      { stdio: 'ignore' },
    );
    this.key = readFileSync(key, 'utf8');
    this.certificate = readFileSync(certificate, 'utf8');
  }

  private plain(path: string): Promise<Map<string, string>> {
    return new Promise((done, failed) => {
      const url = `http://127.0.0.1:${String(this.port)}${path}`;
      getPlain(url, (answer) => done(read(answer))).on('error', failed);
    });
  }

  private secure(port: string, path: string): Promise<Map<string, string>> {
    const identity = { key: this.key, cert: this.certificate, rejectUnauthorized: false };
    return new Promise((done, failed) => {
      const url = `https://127.0.0.1:${port}${path}`;
      getSecure(url, identity, (answer) => done(read(answer))).on('error', failed);
    });
  }

  private ask(parameter: string, value: Uint8Array): Promise<Map<string, string>> {
    return this.plain(path(parameter, Buffer.from(value).toString('hex')));
  }

  /** All five phases; whether the host has let it in. Waits until somebody has typed the PIN. */
  async pair(pin: string): Promise<boolean> {
    const [salt, challenge, secret] = [randomBytes(16), randomBytes(16), randomBytes(16)];
    const pem = Buffer.from(this.certificate).toString('hex');
    const hello = await this.plain(
      path('phrase', `getservercert&salt=${salt.toString('hex')}&clientcert=${pem}`),
    );
    const server = Buffer.from(hello.get('plaincert') ?? '', 'hex').toString();
    if (hello.get('paired') !== '1') return false;
    const key = sha256(salt, Buffer.from(pin)).subarray(0, 16);
    const seal = (bytes: Uint8Array) =>
      createCipheriv('aes-128-ecb', key, null).setAutoPadding(false).update(bytes);
    const open = (hex: string) =>
      createDecipheriv('aes-128-ecb', key, null)
        .setAutoPadding(false)
        .update(Buffer.from(hex, 'hex'));

    const first = await this.ask('clientchallenge', seal(challenge));
    if (first.get('paired') !== '1') return false;
    const told = open(first.get('challengeresponse') ?? '');
    const response = sha256(told.subarray(32, 48), signatureOf(this.certificate), secret);
    const second = await this.ask('serverchallengeresp', seal(response));
    if (second.get('paired') !== '1') return false;
    const theirs = Buffer.from(second.get('pairingsecret') ?? '', 'hex').subarray(0, 16);
    if (!sha256(challenge, signatureOf(server), theirs).equals(told.subarray(0, 32))) return false;

    const signature = createSign('sha256').update(secret).sign(this.key);
    const third = await this.ask('clientpairingsecret', Buffer.concat([secret, signature]));
    if (third.get('paired') !== '1') return false;
    const port = (await this.plain('/serverinfo?uniqueid=0123456789ABCDEF')).get('HttpsPort') ?? '';
    return (await this.secure(port, path('phrase', 'pairchallenge'))).get('paired') === '1';
  }
}

const path = (parameter: string, value: string) =>
  `/pair?uniqueid=0123456789ABCDEF&devicename=roth&updateState=1&${parameter}=${value}`;
