// Dialogs and messages that pass. Radix keeps the focus; its overlay is left out, because it writes styles into the page,
// which the policy forbids: the style sheet holds the page still while there is a veil.
import { X } from 'lucide-react';
import { Dialog as Radix, Toast } from 'radix-ui';
import {
  createContext,
  use,
  useCallback,
  useRef,
  useState,
  type ReactNode,
  type RefObject,
} from 'react';

import { m } from '@/paraglide/messages.js';
import { Button } from './controls';

export function Dialog({
  open,
  onClose,
  title,
  description,
  returnTo,
  children,
}: {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  /** What gets the focus afterwards, if what had it goes: an entry of a menu. */
  returnTo?: RefObject<HTMLElement | null> | undefined;
  children: ReactNode;
}) {
  const before = useRef<Element | null>(null);
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <div aria-hidden data-veil className="fixed inset-0 z-40 touch-none bg-black/50" />
        <Radix.Content
          onOpenAutoFocus={() => {
            before.current = document.activeElement;
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            const had = returnTo?.current ?? before.current;
            const next = had?.isConnected === true ? had : document.getElementById('content');
            if (next instanceof HTMLElement) next.focus();
          }}
          className="card fixed top-1/2 left-1/2 z-50 max-h-[90dvh] w-[min(32rem,calc(100vw-1.5rem))] -translate-x-1/2 -translate-y-1/2 overflow-y-auto overscroll-contain p-5 shadow-2xl"
        >
          <div className="mb-1 flex items-start justify-between gap-3">
            <Radix.Title className="text-lg font-semibold break-words">{title}</Radix.Title>
            <Radix.Close asChild>
              <Button look="quiet" aria-label={m.close()} className="-mt-1 -mr-2 px-2">
                <X aria-hidden className="size-4" />
              </Button>
            </Radix.Close>
          </div>
          <Radix.Description asChild>
            <div className="text-muted">{description}</div>
          </Radix.Description>
          <div className="mt-4">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface Message {
  id: number;
  text: string;
  tone: 'good' | 'bad';
}

const Say = createContext<(text: string, tone?: 'good' | 'bad') => void>(() => undefined);

/** Says something that passes by itself. */
export const useSay = () => use(Say);

export function Messages({ children }: { children: ReactNode }) {
  const [messages, setMessages] = useState<Message[]>([]);
  const say = useCallback((text: string, tone: 'good' | 'bad' = 'good') => {
    setMessages((all) => [...all.slice(-2), { id: (all.at(-1)?.id ?? 0) + 1, text, tone }]);
  }, []);
  return (
    <Say value={say}>
      <Toast.Provider label={m.notification()} duration={6000} swipeDirection="down">
        {children}
        {messages.map((message) => (
          <Toast.Root
            key={message.id}
            type={message.tone === 'bad' ? 'foreground' : 'background'}
            onOpenChange={(open) =>
              !open && setMessages((all) => all.filter(({ id }) => id !== message.id))
            }
            className="card flex items-center gap-3 py-2 pr-2 pl-4 shadow-xl"
          >
            <Toast.Title
              className={`min-w-0 break-words ${message.tone === 'bad' ? 'text-bad' : ''}`}
            >
              {message.text}
            </Toast.Title>
            <Toast.Close asChild>
              <Button look="quiet" aria-label={m.close()} className="px-2">
                <X aria-hidden className="size-4" />
              </Button>
            </Toast.Close>
          </Toast.Root>
        ))}
        <Toast.Viewport
          label={m.notifications({ hotkey: 'F8' })}
          className="fixed inset-x-3 bottom-20 z-50 flex flex-col items-center gap-2 md:bottom-4"
        />
      </Toast.Provider>
    </Say>
  );
}
