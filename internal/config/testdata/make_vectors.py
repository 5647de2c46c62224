#!/usr/bin/python3
"""Writes vectors.json: what oslo.config reads from little files.

Needs Debian's python3-oslo.config; run it here, commit what it writes.
"""
import json
import os
import shutil
import tempfile

from oslo_config import cfg

# (name, files in order, environment)
CASES = [
    ('nothing', [''], {}),
    ('simple', ['[DEFAULT]\ns = text\ni = 5\nb = true\nl = a,b\nm = x\n'], {}),
    ('colon', ['[DEFAULT]\ns: text\n'], {}),
    ('colon before equal', ['[DEFAULT]\ns: a=b\nt = a:b\n'], {}),
    ('no blanks', ['[DEFAULT]\ns=text\n'], {}),
    ('blanks around', ['[DEFAULT]\ns   =   text with blanks   \n'], {}),
    ('tab', ['[DEFAULT]\ns\t=\ttext\n'], {}),
    ('comment characters inside', ['[DEFAULT]\ns = a # b ; c\nt = #no\n'], {}),
    ('comment lines', ['# x\n; y\n[DEFAULT]\n#s = no\n;t = no\ns = yes\n'], {}),
    ('quotes', ['[DEFAULT]\ns = "a b"\nt = \'c d\'\n'], {}),
    ('quotes keep blanks', ['[DEFAULT]\ns = "  a  "\n'], {}),
    ('unequal quotes', ['[DEFAULT]\ns = "a\nt = a"\n'], {}),
    ('mixed quotes', ['[DEFAULT]\ns = "a\'\nt = \'"b"\'\n'], {}),
    ('one quote', ['[DEFAULT]\ns = "\nt = \'\n'], {}),
    ('empty quotes', ['[DEFAULT]\ns = ""\n'], {}),
    ('quotes in the middle', ['[DEFAULT]\ns = a "b" c\n'], {}),
    ('empty value', ['[DEFAULT]\ns =\ni =\nl =\n'], {}),
    ('continuation', ['[DEFAULT]\ns = a\n  b\n\tc\nt = d\n'], {}),
    ('continuation of empty', ['[DEFAULT]\ns =\n  b\n'], {}),
    ('continuation with comment sign', ['[DEFAULT]\ns = a\n  # b\n'], {}),
    ('continuation with section sign', ['[DEFAULT]\ns = a\n  [x]\n'], {}),
    ('continuation after empty line', ['[DEFAULT]\ns = a\n\n  b\n'], {}),
    ('continuation after comment', ['[DEFAULT]\ns = a\n# x\n  b\n'], {}),
    ('continuation after section', ['[DEFAULT]\n  b\n'], {}),
    ('continuation of quoted', ['[DEFAULT]\ns = "a"\n  b\n'], {}),
    ('continued list', ['[DEFAULT]\nl = a,\n  b,\n  c\n'], {}),
    ('blank line of blanks', ['[DEFAULT]\ns = a\n   \nt = b\n'], {}),
    ('crlf', ['[DEFAULT]\r\ns = a\r\n  b\r\nt = c\r\n'], {}),
    ('no newline at the end', ['[DEFAULT]\ns = a'], {}),
    ('repeated, the last counts', ['[DEFAULT]\ns = a\ns = b\nm = x\nm = y\n'], {}),
    ('section twice', ['[DEFAULT]\ns = a\n[grp]\ns = g\n[DEFAULT]\nt = b\n'], {}),
    ('sections do not inherit', ['[DEFAULT]\ns = a\n[grp]\nt = g\n'], {}),
    ('section in capitals', ['[GRP]\ns = g\n'], {}),
    ('default in small letters', ['[default]\ns = g\n'], {}),
    ('option in capitals', ['[DEFAULT]\nS = a\n'], {}),
    ('section with blanks', ['[ grp ]\ns = g\n'], {}),
    ('blank behind section', ['[grp]   \ns = g\n'], {}),
    ('comment behind section', ['[grp] # x\ns = g\n'], {}),
    ('section without end', ['[grp\ns = g\n'], {}),
    ('section without name', ['[]\ns = g\n'], {}),
    ('no section', ['s = a\n'], {}),
    ('no sign', ['[DEFAULT]\ntext\n'], {}),
    ('no name', ['[DEFAULT]\n= a\n'], {}),
    ('unknown option and section', ['[DEFAULT]\nzzz = a\n[zzz]\na = b\n'], {}),
    ('booleans', ['[DEFAULT]\nb = yes\n[grp]\nb = ON\n'], {}),
    ('booleans 2', ['[DEFAULT]\nb = 1\n[grp]\nb = True\n'], {}),
    ('booleans 3', ['[DEFAULT]\nb = 0\n[grp]\nb = Off\n'], {}),
    ('bad boolean', ['[DEFAULT]\nb = maybe\n'], {}),
    ('empty boolean', ['[DEFAULT]\nb =\n'], {}),
    ('bad integer', ['[DEFAULT]\ni = 5x\n'], {}),
    ('float as integer', ['[DEFAULT]\ni = 5.5\n'], {}),
    ('negative', ['[DEFAULT]\ni = -7\n'], {}),
    ('plus', ['[DEFAULT]\ni = +7\n'], {}),
    ('quoted integer', ['[DEFAULT]\ni = " 7 "\n'], {}),
    ('float', ['[DEFAULT]\nf = 1.5\n'], {}),
    ('lists', ['[DEFAULT]\nl = a , b,,c,\n[grp]\nl = ,\n'], {}),
    ('list of one', ['[DEFAULT]\nl = a b\n'], {}),
    ('reference', ['[DEFAULT]\ns = a\nt = $s/b\n'], {}),
    ('reference in braces', ['[DEFAULT]\ns = a\nt = ${s}b\n'], {}),
    ('reference to a section', ['[grp]\ns = g\n[DEFAULT]\nt = x${grp.s}y\n'], {}),
    ('reference to a section without braces',
     ['[grp]\ns = g\n[DEFAULT]\nt = $grp.s\n'], {}),
    ('reference to the own section first',
     ['[DEFAULT]\ns = d\n[grp]\ns = g\nt = $s\n'], {}),
    ('reference to DEFAULT', ['[DEFAULT]\nd = d\n[grp]\nt = $d\n'], {}),
    ('reference to a default value', ['[DEFAULT]\nt = $d\n'], {}),
    ('reference to a number', ['[DEFAULT]\ni = 7\nt = $i\n'], {}),
    ('number from a reference', ['[DEFAULT]\ns = 7\ni = $s\n'], {}),
    ('list from references', ['[DEFAULT]\ns = a,b\nl = $s,c\n'], {}),
    ('reference of a reference', ['[DEFAULT]\ns = a\nt = $s\n[grp]\ns = $t\n'], {}),
    ('reference to nothing', ['[DEFAULT]\ns = $nothing\n'], {}),
    ('reference to itself', ['[DEFAULT]\ns = $t\nt = $s\n'], {}),
    ('two dollars', ['[DEFAULT]\ns = $$t\n'], {}),
    ('three dollars', ['[DEFAULT]\nt = x\ns = $$$t\n'], {}),
    ('backslash dollar', ['[DEFAULT]\ns = a\\$t\n'], {}),
    ('dollar at the end', ['[DEFAULT]\ns = a$\n'], {}),
    ('dollar and digit', ['[DEFAULT]\ns = a$1\n'], {}),
    ('dollar and open brace', ['[DEFAULT]\ns = a${s\n'], {}),
    ('dollar and empty braces', ['[DEFAULT]\ns = a${}\n'], {}),
    ('percent', ['[DEFAULT]\ns = %(t)s %d\n'], {}),
    ('multi with reference', ['[DEFAULT]\ns = a\nm = $s\nm = b\n'], {}),
    ('a later file wins', ['[DEFAULT]\ns = a\nt = a\n', '[DEFAULT]\ns = b\n'], {}),
    ('files add to multi', ['[DEFAULT]\nm = a\n', '[DEFAULT]\nm = b\nm = c\n'], {}),
    ('environment', ['[DEFAULT]\ns = a\n'], {'OS_DEFAULT__S': 'e'}),
    ('environment of a section', ['[grp]\ns = a\n'], {'OS_GRP__S': 'e'}),
    ('environment keeps quotes', [''], {'OS_DEFAULT__S': '"e"'}),
    ('environment with reference', ['[DEFAULT]\nt = x\n'],
     {'OS_DEFAULT__S': '$t'}),
    ('environment, empty', ['[DEFAULT]\ns = a\n'], {'OS_DEFAULT__S': ''}),
    ('environment, number', [''], {'OS_DEFAULT__I': '9', 'OS_GRP__L': 'a,b'}),
    ('umlaut', ['[DEFAULT]\ns = größe\n'], {}),
]


def options():
    return [
        cfg.StrOpt('s', default=''),
        cfg.StrOpt('t', default=''),
        cfg.StrOpt('d', default='default of d'),
        cfg.IntOpt('i', default=0),
        cfg.FloatOpt('f', default=0),
        cfg.BoolOpt('b', default=False),
        cfg.ListOpt('l', default=[]),
        cfg.MultiStrOpt('m', default=[]),
    ]


def read(files, env):
    where = tempfile.mkdtemp()
    try:
        args = []
        for n, text in enumerate(files):
            path = os.path.join(where, '%d.conf' % n)
            with open(path, 'w', encoding='utf-8', newline='') as f:
                f.write(text)
            args += ['--config-file', path]
        os.environ.update(env)
        conf = cfg.ConfigOpts()
        conf.register_opts(options())
        conf.register_opts([o for o in options() if o.name != 'd'],
                           group='grp')
        conf(args, project='stowage')
        result = {'DEFAULT': {}, 'grp': {}}
        for o in options():
            result['DEFAULT'][o.name] = conf[o.name]
            if o.name != 'd':
                result['grp'][o.name] = conf['grp'][o.name]
        # An empty number is none, which our structs write as 0.
        result['DEFAULT']['i'] = result['DEFAULT']['i'] or 0
        return result
    finally:
        for name in env:
            del os.environ[name]
        shutil.rmtree(where)


def main():
    vectors = []
    for name, files, env in CASES:
        vector = {'name': name, 'files': files, 'env': env}
        try:
            vector['want'] = read(files, env)
        except Exception as e:  # oslo.config has many kinds
            vector['error'] = type(e).__name__
        vectors.append(vector)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, 'vectors.json'), 'w', encoding='utf-8') as f:
        json.dump(vectors, f, indent=1, ensure_ascii=False)
        f.write('\n')


if __name__ == '__main__':
    main()
