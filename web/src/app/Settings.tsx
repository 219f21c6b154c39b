// The menu of what belongs to this browser: language, theme, another device, sign-out.
import { useMutation } from '@tanstack/react-query';
import { LogOut, Settings2, Smartphone } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useRef, useState } from 'react';

import { api, body } from '@/api/client';
import { signOut } from '@/api/session';
import { m } from '@/paraglide/messages.js';
import { Button, Choice } from '@/ui/controls';
import { Dialog } from '@/ui/dialog';
import { Failure, Loading, Notice } from '@/ui/states';
import { chooseLanguage, chooseTheme, useLocale, useTheme } from './preferences';

export function LanguageChoice() {
  const locale = useLocale();
  return (
    <Choice
      label={m.language()}
      value={locale}
      options={[
        ['en', 'English'],
        ['de', 'Deutsch'],
      ]}
      onChange={chooseLanguage}
    />
  );
}

export function Settings() {
  const theme = useTheme();
  const [phone, setPhone] = useState(false);
  const trigger = useRef<HTMLButtonElement>(null);
  return (
    <>
      <Popover.Root>
        <Popover.Trigger asChild>
          <Button ref={trigger} look="quiet" aria-label={m.settings()} className="px-2">
            <Settings2 aria-hidden className="size-5" />
          </Button>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content
            align="end"
            sideOffset={6}
            collisionPadding={8}
            aria-label={m.settings()}
            className="card z-40 flex flex-col gap-4 p-4 shadow-xl"
          >
            <div className="flex flex-col items-start gap-1.5">
              <span className="text-sm text-muted">{m.language()}</span>
              <LanguageChoice />
            </div>
            <div className="flex flex-col items-start gap-1.5">
              <span className="text-sm text-muted">{m.theme()}</span>
              <Choice
                label={m.theme()}
                value={theme}
                options={[
                  ['system', m.theme_system()],
                  ['light', m.theme_light()],
                  ['dark', m.theme_dark()],
                ]}
                onChange={chooseTheme}
              />
            </div>
            <Popover.Close asChild>
              <Button onClick={() => setPhone(true)}>
                <Smartphone aria-hidden className="size-4" />
                {m.sign_in_phone()}
              </Button>
            </Popover.Close>
            <Button onClick={() => void signOut().finally(() => location.reload())}>
              <LogOut aria-hidden className="size-4" />
              {m.sign_out()}
            </Button>
            <a href="/docs" className="text-center text-sm text-accent-text underline">
              {m.api_docs()}
            </a>
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      <Dialog
        open={phone}
        onClose={() => setPhone(false)}
        returnTo={trigger}
        title={m.sign_in_phone()}
        description={m.sign_in_phone_how()}
      >
        <PhoneLink />
      </Dialog>
    </>
  );
}

function PhoneLink() {
  const link = useMutation({ mutationFn: () => body(api.POST('/api/v1/auth/links')) });
  if (link.isIdle) {
    return (
      <Button look="primary" onClick={() => link.mutate()}>
        {m.sign_in_phone_show()}
      </Button>
    );
  }
  if (link.isPending) return <Loading what={m.sign_in_phone()} />;
  if (link.isError) return <Failure error={link.error} again={() => link.mutate()} />;
  return (
    <div className="flex flex-col gap-3">
      {link.data.this_machine_only && <Notice tone="warn">{m.sign_in_phone_local()}</Notice>}
      <img
        src={`data:image/svg+xml,${encodeURIComponent(link.data.svg)}`}
        alt={m.sign_in_phone_code()}
        className="mx-auto w-60 rounded-lg bg-white"
      />
    </div>
  );
}
