package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

const project = "stowage"

// Source is where configuration comes from. Nothing else is looked at.
type Source struct {
	Files []string // --config-file, in order; later ones win
	Dirs  []string // --config-dir: their *.conf, sorted, after Files

	// Search is where to look for stowage.conf, <Prog>.conf and the
	// directories stowage.conf.d, <Prog>.conf.d when neither Files nor Dirs
	// is given: see SearchDirs. The first of each name counts; none is fine.
	Search []string
	Prog   string // "stowage-api"; may be empty

	// Env looks up an environment variable; nil: there are none.
	// OS_<SECTION>__<OPTION> wins over the files.
	Env func(name string) (string, bool)

	Hostname string // default of [DEFAULT] host

	// Checks look at values whose form other packages know, by
	// "section.option". Their errors must not show the value.
	Checks map[string]func(value string) error
}

// SearchDirs is where OpenStack services look for their configuration.
func SearchDirs(home string) []string {
	dirs := []string{"/etc/" + project, "/etc"}
	if home != "" {
		dirs = append([]string{filepath.Join(home, "."+project), home}, dirs...)
	}
	return dirs
}

// files gives all files to read, in order.
func (s Source) files() ([]string, error) {
	files, dirs := slices.Clone(s.Files), s.Dirs
	if len(files) == 0 && len(dirs) == 0 {
		files, dirs = s.find(".conf"), s.find(".conf.d")
	}
	for _, d := range dirs {
		if _, err := os.ReadDir(d); err != nil {
			return nil, fmt.Errorf("config directory: %w", err)
		}
		// Glob sorts; its only error is a bad pattern, as in a name like "[".
		more, err := filepath.Glob(filepath.Join(d, "*.conf"))
		if err != nil {
			return nil, fmt.Errorf("config directory %s: %w", d, err)
		}
		files = append(files, more...)
	}
	return files, nil
}

// find gives the first file or directory of each name.
func (s Source) find(extension string) []string {
	names := []string{project}
	if s.Prog != "" && s.Prog != project {
		names = append(names, s.Prog)
	}
	var found []string
	for _, name := range names {
		for _, dir := range s.Search {
			path := filepath.Join(dir, name+extension)
			// What is there and cannot be read is an error, when it is read.
			if _, err := os.Stat(path); err == nil {
				found = append(found, path)
				break
			}
		}
	}
	return found
}

// read reads all files.
func (s Source) read() (*values, error) {
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	v := &values{env: s.Env, checks: s.Checks, files: files}
	if v.env == nil {
		v.env = func(string) (string, bool) { return "", false }
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("config file: %w", err)
		}
		more, err := parse(filepath.Base(f), string(text))
		if err != nil {
			return nil, err
		}
		v.settings = append(v.settings, more...)
	}
	return v, nil
}
