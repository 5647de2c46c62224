#!/bin/bash
#
# What DevStack calls in each of its phases: plugin.sh MODE [PHASE]

# Save trace setting
_XTRACE_STOWAGE=$(set +o | grep xtrace)
set +o xtrace

source $STOWAGE_DIR/devstack/lib/stowage

if is_stowage_enabled; then
    case "$1 $2" in
        "stack pre-install")
            check_stowage
            ;;
        "stack install")
            echo_summary "Installing Stowage"
            install_stowage
            ;;
        "stack post-config")
            echo_summary "Configuring Stowage"
            configure_stowage
            if is_service_enabled key; then
                create_stowage_accounts
            fi
            init_stowage
            ;;
        "stack extra")
            echo_summary "Starting Stowage"
            start_stowage
            ;;
        "stack test-config")
            if is_service_enabled tempest; then
                configure_tempest_for_stowage
            fi
            ;;
    esac
fi

# Whatever is enabled now: something may be left of an earlier run.
if [[ "$1" == "unstack" ]]; then
    stop_stowage
fi
if [[ "$1" == "clean" ]]; then
    cleanup_stowage
fi

# Restore trace setting
$_XTRACE_STOWAGE
