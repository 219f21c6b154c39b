// Buttons, fields and small marks.
import type { ComponentProps, ReactNode } from 'react';

// A transparent edge is seen where the reader's system chooses the colours.
const LOOKS = {
  plain: 'border-line-strong/60 bg-surface hover:bg-raised',
  primary: 'border-transparent bg-accent-fill text-white hover:brightness-110',
  record: 'border-transparent bg-record text-white hover:brightness-110',
  danger: 'border-transparent bg-record text-white hover:brightness-110',
  quiet: 'border-transparent text-muted hover:bg-raised hover:text-text',
};

/** A button; `look` says how much it asks for attention. */
export function Button({
  look = 'plain',
  className = '',
  ...rest
}: ComponentProps<'button'> & { look?: keyof typeof LOOKS }) {
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex min-h-9 items-center justify-center gap-2 rounded-lg border px-3 font-medium whitespace-nowrap transition disabled:cursor-not-allowed disabled:opacity-50 ${LOOKS[look]} ${className}`}
    />
  );
}

/** One of few, side by side. */
export function Choice<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <div
      role="group"
      aria-label={label}
      className="inline-flex rounded-lg border border-line bg-raised p-0.5"
    >
      {options.map(([option, text]) => (
        <button
          key={option}
          type="button"
          aria-pressed={option === value}
          onClick={() => onChange(option)}
          className="min-h-7 rounded-md px-2.5 text-sm text-muted hover:text-text aria-pressed:bg-surface aria-pressed:font-medium aria-pressed:text-text aria-pressed:shadow-sm"
        >
          {text}
        </button>
      ))}
    </div>
  );
}

const TONES = {
  neutral: 'bg-raised text-muted',
  good: 'bg-good-soft text-good',
  warn: 'bg-warn-soft text-warn',
  bad: 'bg-bad-soft text-bad',
  accent: 'bg-accent-soft text-accent-text',
};
export type Tone = keyof typeof TONES;

export function Badge({
  tone = 'neutral',
  children,
  title,
}: {
  tone?: Tone;
  children: ReactNode;
  title?: string | undefined;
}) {
  return (
    <span
      title={title}
      className={`inline-flex max-w-full items-center gap-1.5 rounded-md px-2 py-0.5 text-sm font-medium outline -outline-offset-1 outline-transparent ${TONES[tone]}`}
    >
      {children}
    </span>
  );
}

/** A figure with its name. */
export function Stat({
  label,
  value,
  title,
}: {
  label: string;
  value: ReactNode;
  title?: string | undefined;
}) {
  return (
    <div className="min-w-0" title={title}>
      <dt className="truncate text-sm text-muted first-letter:uppercase">{label}</dt>
      <dd className="truncate font-medium">{value}</dd>
    </div>
  );
}

export function Field({ label, children }: { label: string; children: ReactNode }) {
  return (
    <label className="flex min-w-0 flex-col gap-1">
      <span className="text-sm text-muted">{label}</span>
      {children}
    </label>
  );
}
