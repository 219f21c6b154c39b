// Language and theme: those of the browser until somebody chooses.
import { useSyncExternalStore } from 'react';

import { getLocale, setLocale, type Locale } from '@/paraglide/runtime.js';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'punktfunk-theme';
const watchers = new Set<() => void>();
const changed = () => watchers.forEach((watcher) => watcher());
const watch = (watcher: () => void) => {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
};

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

/** Puts both on the document, and follows the system's theme. */
export function applyPreferences(): void {
  const root = document.documentElement;
  root.lang = getLocale();
  const theme = stored();
  if (theme === 'system') delete root.dataset['theme'];
  else root.dataset['theme'] = theme;
}

export function chooseTheme(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  applyPreferences();
  changed();
}

export function chooseLanguage(locale: Locale): void {
  void setLocale(locale, { reload: false });
  applyPreferences();
  changed();
}

const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', changed);

export const useTheme = () => useSyncExternalStore(watch, stored);
export const useLocale = () => useSyncExternalStore(watch, getLocale);

/** Whether it is dark now, whoever decided. */
export function useIsDark(): boolean {
  return useSyncExternalStore(watch, () =>
    stored() === 'system' ? dark.matches : stored() === 'dark',
  );
}
