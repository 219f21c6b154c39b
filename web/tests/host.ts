// A real host with real clients, for browser tests: processes of their own, on ports of their own.
import { expect, type Page } from '@playwright/test';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const built = (name: string) =>
  fileURLToPath(new URL(`../../target/release/${name}`, import.meta.url));
const PATIENCE_MS = 30_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Waits until `ask` gives something. */
export async function until<T>(ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error('it did not happen');
    await new Promise((done) => setTimeout(done, 50));
  }
}

export class Host {
  readonly directory = mkdtempSync(join(tmpdir(), 'punktfunk-console-'));
  log = '';
  private process: ChildProcess | undefined;
  private readonly children: ChildProcess[] = [];
  private native = '';

  private constructor(
    readonly port: number,
    private readonly settings: Record<string, string>,
    private readonly address: string,
  ) {}

  /**
   * Runs one, 320x180 at 30 frames a second unless `settings` say otherwise, and waits until it is there. On an address
   * that others reach, the management API takes TLS.
   */
  static async start(
    settings: Record<string, string> = {},
    address: '127.0.0.1' | '0.0.0.0' = '127.0.0.1',
  ): Promise<Host> {
    const host = new Host(await freePort(), settings, address);
    await host.up();
    return host;
  }

  /** Processor time that the host has taken, in seconds. Linux counts it in hundredths. */
  get cpuSeconds(): number {
    const stat = readFileSync(`/proc/${String(this.process?.pid)}/stat`, 'utf8');
    // After the name, which may hold anything: user and system time are the 12th and 13th.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  get url(): string {
    const scheme = this.address === '127.0.0.1' ? 'http' : 'https';
    return `${scheme}://127.0.0.1:${String(this.port)}`;
  }

  private get bind(): string {
    return `${this.address}:${String(this.port)}`;
  }

  async up(): Promise<void> {
    this.log = '';
    const child = spawn(built('punktfunk-host'), ['serve'], {
      env: {
        PATH: process.env['PATH'],
        PUNKTFUNK_CONFIG_DIR: this.directory,
        PUNKTFUNK_MGMT_BIND: this.bind,
        PUNKTFUNK_NATIVE_BIND: this.native || '127.0.0.1:0',
        PUNKTFUNK_SOURCE_WIDTH: '320',
        PUNKTFUNK_SOURCE_HEIGHT: '180',
        PUNKTFUNK_SOURCE_FPS: '30',
        ...this.settings,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.on('data', (part: Buffer) => (this.log += part.toString()));
    this.process = child;
    this.native = await until(() => /the host runs.*?native=(\S+)/s.exec(this.log)?.[1]);
  }

  /** Ends it as a power cut would, or gently. */
  async down(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const child = this.process;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await gone;
  }

  async end(): Promise<void> {
    for (const child of this.children) child.kill('SIGKILL');
    await this.down();
    rmSync(this.directory, { recursive: true, force: true });
  }

  get token(): string {
    return readFileSync(join(this.directory, 'mgmt-token'), 'utf8').trim();
  }

  get captures(): string {
    return join(this.directory, 'captures');
  }

  /** What `ctl` says, as JSON. */
  async ctl(...args: string[]): Promise<unknown> {
    const bind = ['--mgmt-bind', this.bind];
    const { stdout } = await run(built('punktfunk-host'), ['ctl', ...args, ...bind, '--json'], {
      env: { PATH: process.env['PATH'], PUNKTFUNK_CONFIG_DIR: this.directory },
    });
    return stdout === '' ? undefined : JSON.parse(stdout);
  }

  /** An address that signs one browser in. */
  async link(): Promise<string> {
    return ((await this.ctl('console')) as { url: string }).url;
  }

  /** Signs a page in, and opens a path if one is given. */
  async signIn(page: Page, path?: string): Promise<void> {
    await page.goto(await this.link());
    await expect(page.getByRole('region', { name: 'Capture' })).toBeVisible();
    if (path !== undefined) await page.goto(this.url + path);
  }

  /** Where Moonlight clients find it. */
  get moonlightPort(): Promise<number> {
    return until(() => {
      const found = /Moonlight clients find the host here.*?127\.0\.0\.1:(\d+)/s.exec(this.log);
      return found ? Number(found[1]) : undefined;
    });
  }

  /** Begins to ask for being let in; the PIN is known to both. */
  ask(name: string): ChildProcess {
    return this.probe(name, ['pair', this.native, '--pin', '246810', '--name', name]);
  }

  /** Lets a client in without the console. */
  async pair(name: string): Promise<void> {
    const asking = this.ask(name);
    const done = new Promise((gone) => asking.once('exit', gone));
    const id = await until(async () => {
      const requests = (await this.ctl('pair')) as { id: string }[];
      return requests[0]?.id;
    });
    await this.ctl('pair', id, '--pin', '246810', '--name', name);
    await done;
  }

  /** A client that streams until it is killed. */
  async stream(name: string): Promise<ChildProcess> {
    const sessions = async () =>
      ((await this.ctl('sessions')) as { id: string }[]).map(({ id }) => id);
    // One that was killed just now may still be among them.
    const before = await sessions();
    const child = this.probe(name, [
      'connect',
      this.native,
      '--width',
      '320',
      '--height',
      '180',
      '--fps',
      '30',
    ]);
    await until(async () =>
      (await sessions()).some((id) => !before.includes(id)) ? true : undefined,
    );
    return child;
  }

  private probe(name: string, args: string[]): ChildProcess {
    const home = join(this.directory, `probe-${Buffer.from(name).toString('hex').slice(0, 24)}`);
    const child = spawn(built('punktfunk-probe'), args, {
      env: { PATH: process.env['PATH'], PUNKTFUNK_CONFIG_DIR: home },
      stdio: 'ignore',
    });
    this.children.push(child);
    return child;
  }
}
