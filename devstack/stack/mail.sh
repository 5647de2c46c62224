# shellcheck shell=bash
# A mail server: what it takes lies in a Maildir.
# shellcheck disable=SC2034 # read by stages.sh
mail_needs='' mail_daemons='mail'

mail_up() {
    local dir=$STATE/mail
    own mail "$dir"
    once mail-certificate mail_certificate "$dir"
    daemon mail mail "$HERE/mail_run.py" -- python3 "$HERE/mail_run.py" "$dir" \
        "$MAIL_PORT" "$MAIL_TLS_PORT" "$MAIL_USER" "$MAIL_PASSWORD"
    wait_for mail mail_answers
}

mail_certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=127.0.0.1 \
        -addext subjectAltName=IP:127.0.0.1 -keyout "$1/key.pem" -out "$1/cert.pem" 2>/dev/null
    chown mail: "$1/key.pem" "$1/cert.pem"
    chmod 600 "$1/key.pem"
}

mail_answers() {
    local reply
    exec 3<>"/dev/tcp/127.0.0.1/$MAIL_PORT" || return
    read -r -t 5 reply <&3
    printf 'QUIT\r\n' >&3
    exec 3>&-
    [[ $reply == 220* ]]
}
